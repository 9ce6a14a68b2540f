// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { AttestorSet } from "../../contracts/AttestorSet.sol";
import { DatanetRegistry } from "../../contracts/DatanetRegistry.sol";
import { InferenceEscrow } from "../../contracts/InferenceEscrow.sol";
import { Launcher } from "../../contracts/Launcher.sol";
import { ModelRegistry } from "../../contracts/ModelRegistry.sol";
import { OpenGovernor } from "../../contracts/OpenGovernor.sol";
import { OpenTimelock } from "../../contracts/OpenTimelock.sol";
import { OpenToken } from "../../contracts/OpenToken.sol";
import { RewardDistributor } from "../../contracts/RewardDistributor.sol";
import { IAttestorSet } from "../../contracts/interfaces/IAttestorSet.sol";
import { IDatanetRegistry } from "../../contracts/interfaces/IDatanetRegistry.sol";
import { IInferenceEscrow } from "../../contracts/interfaces/IInferenceEscrow.sol";
import { IModelRegistry } from "../../contracts/interfaces/IModelRegistry.sol";
import { IOpenToken } from "../../contracts/interfaces/IOpenToken.sol";
import { IRewardDistributor } from "../../contracts/interfaces/IRewardDistributor.sol";
import { Vm } from "./Vm.sol";

/// @dev The whole suite as the deployment script builds it, with five attestors seated and a clock that started.
abstract contract Suite {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    uint256 internal constant OPEN = 1e18;
    uint256 internal constant DELAY = 1 days;
    uint256 internal constant EPOCH_CAP = 2_000_000 * OPEN;
    uint256 internal constant EPOCH = 7 days;
    uint256 internal constant CHALLENGE_BOND = 10_000 * OPEN;
    uint256 internal constant RESOLUTION = 14 days;
    uint256 internal constant NOTICE = 3 days;
    uint256 internal constant BOND = 100_000 * OPEN;

    Launcher internal launcher;
    OpenToken internal token;
    DatanetRegistry internal datanets;
    ModelRegistry internal models;
    InferenceEscrow internal escrow;
    AttestorSet internal attestors;
    RewardDistributor internal distributor;
    OpenTimelock internal timelock;
    OpenGovernor internal governor;

    address internal holder = address(0x401DE5);
    address internal guardian = address(0x60A5D1A4);
    address internal steward = address(0x57E3A5D);
    uint256 internal constant CONSUMER_KEY = 0xC0453ED;
    uint256 internal constant CONTRIBUTOR_KEY = 0xC04751B;
    address internal consumer;
    address internal contributor;
    /// @dev Keys of the attestors, in ascending order of their addresses.
    uint256[5] internal attestorKeys;

    function deploySuite() internal {
        vm.warp(1_800_000_000);
        consumer = vm.addr(CONSUMER_KEY);
        contributor = vm.addr(CONTRIBUTOR_KEY);
        launcher = new Launcher();
        timelock = OpenTimelock(payable(launcher.addressOf("OpenTimelock")));
        token = OpenToken(launcher.addressOf("OpenToken"));
        datanets = DatanetRegistry(launcher.addressOf("DatanetRegistry"));
        models = ModelRegistry(launcher.addressOf("ModelRegistry"));
        escrow = InferenceEscrow(launcher.addressOf("InferenceEscrow"));
        attestors = AttestorSet(launcher.addressOf("AttestorSet"));
        distributor = RewardDistributor(launcher.addressOf("RewardDistributor"));
        governor = OpenGovernor(payable(launcher.addressOf("OpenGovernor")));

        _launch("OpenToken", type(OpenToken).creationCode, abi.encode(holder, distributor));
        _launch("OpenTimelock", type(OpenTimelock).creationCode, abi.encode(2 days, governor));
        _launch("DatanetRegistry", type(DatanetRegistry).creationCode, abi.encode(token, timelock, datanetTerms()));
        _launch(
            "ModelRegistry", type(ModelRegistry).creationCode, abi.encode(datanets, timelock, splitBounds(), 1 days)
        );
        bytes memory terms = abi.encode(token, distributor, timelock, NOTICE);
        _launch("InferenceEscrow", type(InferenceEscrow).creationCode, terms);
        _launchAttestors();
        _launch(
            "RewardDistributor",
            type(RewardDistributor).creationCode,
            abi.encode(
                token, attestors, escrow, timelock, guardian, DELAY, EPOCH_CAP, EPOCH, CHALLENGE_BOND, RESOLUTION
            )
        );
        _launch(
            "OpenGovernor",
            type(OpenGovernor).creationCode,
            abi.encode(token, timelock, OpenGovernor.Terms(1 days, 5 days, 1_000_000 * OPEN, 4, 2 days))
        );
        _seatAttestors();
    }

    function datanetTerms() internal pure returns (IDatanetRegistry.Terms memory) {
        return IDatanetRegistry.Terms({
            minDatanetBond: uint96(1000 * OPEN),
            forcedBond: uint96(10 * OPEN),
            inclusionWindow: 3 days,
            duplicateSlash: uint96(100 * OPEN),
            bondDelay: 7 days,
            finderBps: 2000,
            closingNotice: 7 days
        });
    }

    function splitBounds() internal pure returns (IModelRegistry.SplitBounds memory) {
        return IModelRegistry.SplitBounds({
            minContributors: 5000,
            maxBuilder: 4000,
            maxReviewers: 1000,
            minAttestors: 100,
            minTreasury: 100,
            maxTreasury: 1000
        });
    }

    function _launch(bytes32 name, bytes memory code, bytes memory arguments) private {
        launcher.launch(name, abi.encodePacked(code, arguments));
    }

    function _launchAttestors() private {
        address[] memory operators = new address[](5);
        for (uint256 i = 0; i < 5; ++i) {
            operators[i] = operatorOf(i);
        }
        _launch(
            "AttestorSet",
            type(AttestorSet).creationCode,
            abi.encode(
                token,
                distributor,
                escrow,
                models,
                timelock,
                IAttestorSet.Terms(uint96(BOND), uint96(10 * BOND), 14 days, 2000),
                3,
                operators
            )
        );
    }

    function operatorOf(uint256 i) internal pure returns (address) {
        return address(uint160(0x0BE4A704 + i));
    }

    function _seatAttestors() private {
        for (uint256 i = 0; i < 5; ++i) {
            attestorKeys[i] = uint256(keccak256(abi.encode("attestor", i)));
        }
        for (uint256 i = 0; i < 5; ++i) {
            for (uint256 j = i + 1; j < 5; ++j) {
                if (vm.addr(attestorKeys[j]) < vm.addr(attestorKeys[i])) {
                    (attestorKeys[i], attestorKeys[j]) = (attestorKeys[j], attestorKeys[i]);
                }
            }
        }
        for (uint256 i = 0; i < 5; ++i) {
            fund(operatorOf(i), BOND);
            vm.startPrank(operatorOf(i));
            token.approve(address(attestors), BOND);
            attestors.join(vm.addr(attestorKeys[i]), BOND);
            vm.stopPrank();
        }
    }

    function fund(address account, uint256 amount) internal {
        vm.prank(holder);
        token.transfer(account, amount);
    }

    function signature(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function quorum(bytes32 digest, uint256 signers) internal view returns (bytes memory signatures) {
        for (uint256 i = 0; i < signers; ++i) {
            signatures = bytes.concat(signatures, signature(attestorKeys[i], digest));
        }
    }

    function deposit(address account, uint256 amount) internal {
        fund(account, amount);
        vm.startPrank(account);
        token.approve(address(escrow), amount);
        escrow.deposit(amount);
        vm.stopPrank();
    }

    function voucher(uint256 key, address account, uint256 cumulative)
        internal
        view
        returns (IInferenceEscrow.Voucher memory)
    {
        bytes32 digest = escrow.voucherDigest(account, vm.addr(key), cumulative, type(uint256).max);
        return IInferenceEscrow.Voucher(account, vm.addr(key), cumulative, type(uint256).max, signature(key, digest));
    }

    /// @dev Brings `amount` of real fees into the reserve.
    function collectFees(uint256 amount) internal {
        deposit(consumer, amount);
        IInferenceEscrow.Voucher[] memory vouchers = new IInferenceEscrow.Voucher[](1);
        vouchers[0] = voucher(CONSUMER_KEY, consumer, escrow.accountOf(consumer).spent + amount);
        escrow.settle(keccak256("batch"), vouchers);
    }

    function statementFor(bytes32 previousRoot, bytes32 root, uint256 epoch, uint256 total)
        internal
        view
        returns (IRewardDistributor.RewardRoot memory)
    {
        (,,, uint32 round) = distributor.state();
        return IRewardDistributor.RewardRoot(previousRoot, root, epoch, round, total, keccak256("content"));
    }

    function post(bytes32 previousRoot, bytes32 root, uint256 epoch, uint256 total) internal {
        IRewardDistributor.RewardRoot memory statement = statementFor(previousRoot, root, epoch, total);
        bytes memory signatures = quorum(distributor.rootDigest(statement), 3);
        distributor.submitRoot(previousRoot, root, epoch, total, statement.contentHash, signatures);
    }

    function activate(bytes32 root) internal {
        vm.warp(distributor.recordOf(root).activatesAt);
    }

    /// @dev A drawn value brought into [least, most].
    function bound(uint256 value, uint256 least, uint256 most) internal pure returns (uint256) {
        if (most - least == type(uint256).max) return value;
        return least + value % (most - least + 1);
    }
}
