// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.30;

import { OpenToken } from "../../contracts/OpenToken.sol";
import { Suite } from "./Suite.sol";

/// @dev The token against the plainest possible bookkeeping: one uint256 per fact, nothing packed, everything checked.
contract TokenModelTest is Suite {
    uint256 private constant ACTORS = 6;
    bytes4 private constant TRANSFER_WITH_AUTHORIZATION =
        bytes4(keccak256("transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"));
    uint256 private constant SUPPLY = 1_000_000_000e18;

    address private payer = address(0xD157);
    uint256[ACTORS] private _keys;
    address[ACTORS] private _actors;

    mapping(address => uint256) private _balance;
    mapping(address => uint256) private _credited;
    mapping(address => address) private _delegate;
    mapping(address => mapping(address => uint256)) private _allowance;
    mapping(address => mapping(bytes32 => bool)) private _used;
    mapping(address => uint256) private _nonce;

    function setUp() public {
        vm.warp(1_800_000_000);
        for (uint256 i = 0; i < ACTORS; ++i) {
            _keys[i] = uint256(keccak256(abi.encode("token actor", i)));
            _actors[i] = vm.addr(_keys[i]);
        }
        token = new OpenToken(_actors[0], payer);
        _balance[_actors[0]] = SUPPLY;
        _give(_actors[1], 1000e18);
        _give(payer, 1_000_000e18);
    }

    function testFuzz_Token_WhenUsedInAnyOrder_ThenAgreesWithPlainBookkeeping(uint256[12] calldata draws) external {
        for (uint256 i = 0; i < draws.length; ++i) {
            uint256 draw = uint256(keccak256(abi.encode(draws[i], i)));
            uint256 action = draw % 9;
            if (action == 0) _transfer(draw);
            if (action == 1) _approve(draw);
            if (action == 2) _transferFrom(draw);
            if (action == 3) _permit(draw);
            if (action == 4) _authorise(draw);
            if (action == 5) _credit(draw);
            if (action == 6) _creditMany(draw);
            if (action == 7) _fund(draw);
            if (action == 8) _delegateVotes(draw);
        }
        _compare();
    }

    function testFuzz_Transfer_WhenAnyAmount_ThenMovesItOrRefuses(address to, uint256 value) external {
        vm.assume(to != address(0) && to != address(token));
        address from = _actors[1];
        uint256 before = token.balanceOf(to);
        vm.prank(from);
        (bool ok,) = address(token).call(abi.encodeCall(token.transfer, (to, value)));
        vm.assertEq(ok, value <= 1000e18, "a transfer succeeds if and only if the balance covers it");
        if (ok && to != from) {
            vm.assertEq(token.balanceOf(to), before + value, "the receiver has it");
            vm.assertEq(token.balanceOf(from), 1000e18 - value, "the sender does not");
        }
    }

    function _give(address to, uint256 value) private {
        vm.prank(_actors[0]);
        token.transfer(to, value);
        _move(_actors[0], to, value);
    }

    function _transfer(uint256 draw) private {
        (address from, address to, uint256 value) = _parties(draw);
        vm.prank(from);
        bool ok = _call(abi.encodeCall(token.transfer, (to, value)));
        vm.assertEq(ok, _movable(from, to, value), "transfer");
        if (ok) _move(from, to, value);
    }

    function _approve(uint256 draw) private {
        (address owner, address spender, uint256 value) = _parties(draw);
        vm.prank(owner);
        bool ok = _call(abi.encodeCall(token.approve, (spender, value)));
        vm.assertEq(ok, spender != address(0), "approve");
        if (ok) _allowance[owner][spender] = value;
    }

    function _transferFrom(uint256 draw) private {
        (address from, address to, uint256 value) = _parties(draw);
        address spender = _actors[(draw >> 200) % ACTORS];
        uint256 allowed = _allowance[from][spender];
        vm.prank(spender);
        bool ok = _call(abi.encodeCall(token.transferFrom, (from, to, value)));
        vm.assertEq(ok, allowed >= value && _movable(from, to, value), "transferFrom");
        if (!ok) return;
        if (allowed != type(uint256).max) _allowance[from][spender] = allowed - value;
        _move(from, to, value);
    }

    function _permit(uint256 draw) private {
        uint256 author = (draw >> 8) % ACTORS;
        (, address spender, uint256 value) = _parties(draw);
        address owner = _actors[author];
        // Every second permit is signed by the next actor instead of the owner.
        bool honest = draw >> 255 == 0;
        uint256 deadline = block.timestamp - 1 + (draw >> 250) % 2;
        bytes32 digest =
            _digest(keccak256(abi.encode(token.PERMIT_TYPEHASH(), owner, spender, value, _nonce[owner], deadline)));
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(_keys[honest ? author : (author + 1) % ACTORS], digest);
        bool ok = _call(abi.encodeCall(token.permit, (owner, spender, value, deadline, v, r, s)));
        vm.assertEq(ok, honest && deadline >= block.timestamp && spender != address(0), "permit");
        if (!ok) return;
        _nonce[owner] += 1;
        _allowance[owner][spender] = value;
    }

    function _authorise(uint256 draw) private {
        (address from, address to, uint256 value) = _parties(draw);
        bytes32 nonce = bytes32((draw >> 244) % 4);
        uint256 since = block.timestamp - (draw >> 252) % 2;
        uint256 until = block.timestamp + 1 - (draw >> 253) % 2;
        bytes memory terms = abi.encode(from, to, value, since, until, nonce);
        // The six terms, then where the signature starts, how long it is, and itself filled up to a word.
        terms = bytes.concat(terms, abi.encode(7 * 32, 65), _signedTerms(draw, terms), bytes31(0));
        bool ok = _call(bytes.concat(TRANSFER_WITH_AUTHORIZATION, terms));
        bool expected = draw >> 255 == 0 && since < block.timestamp && until > block.timestamp;
        if (_used[from][nonce] || !_movable(from, to, value)) expected = false;
        vm.assertEq(ok, expected, "authorisation");
        if (!ok) return;
        _used[from][nonce] = true;
        _move(from, to, value);
    }

    /// @dev Every second authorisation is signed by the next actor instead of the one whose money it would move.
    function _signedTerms(uint256 draw, bytes memory terms) private view returns (bytes memory) {
        uint256 author = ((draw >> 8) + (draw >> 255)) % ACTORS;
        bytes32 typeHash = token.TRANSFER_WITH_AUTHORIZATION_TYPEHASH();
        return signature(_keys[author], _digest(keccak256(bytes.concat(typeHash, terms))));
    }

    function _credit(uint256 draw) private {
        (address account, address recipient, uint256 cumulative) = _parties(draw);
        if (draw >> 240 & 7 == 0) cumulative = uint256(type(uint96).max) + (draw >> 243 & 1);
        vm.prank(payer);
        bool ok = _call(abi.encodeCall(token.credit, (account, recipient, cumulative)));
        bool valid = recipient != address(0) && recipient != address(token) && account != address(token);
        vm.assertEq(ok, valid && cumulative <= type(uint96).max, "credit");
        if (ok) _paidOut(account, recipient, cumulative);
    }

    function _creditMany(uint256 draw) private {
        uint256[] memory credits = new uint256[](4);
        for (uint256 i = 0; i < 4; ++i) {
            (address account,, uint256 cumulative) = _parties(uint256(keccak256(abi.encode(draw, i))));
            credits[i] = uint256(uint160(account)) << 96 | uint96(cumulative);
        }
        vm.prank(payer);
        uint256 paid = token.creditMany(credits);
        uint256 expected;
        for (uint256 i = 0; i < 4; ++i) {
            address account = address(uint160(credits[i] >> 96));
            if (account == address(0) || account == address(token)) continue;
            expected += _paidOut(account, account, uint96(credits[i]));
        }
        vm.assertEq(paid, expected, "creditMany says what it paid");
    }

    function _fund(uint256 draw) private {
        uint256 value = bound(draw >> 16, 0, 100e18);
        vm.prank(payer);
        bool ok = _call(abi.encodeCall(token.fundRewardPool, (value)));
        vm.assertEq(ok, _balance[payer] >= value, "fundRewardPool");
        if (ok) _move(payer, address(token), value);
    }

    function _delegateVotes(uint256 draw) private {
        (address from, address to,) = _parties(draw);
        vm.prank(from);
        token.delegate(to);
        _delegate[from] = to;
    }

    function _paidOut(address account, address recipient, uint256 cumulative) private returns (uint256 due) {
        if (cumulative <= _credited[account]) return 0;
        due = cumulative - _credited[account];
        if (due > _balance[address(token)]) due = _balance[address(token)];
        _credited[account] += due;
        _move(address(token), recipient, due);
    }

    /// @dev Two actors and an amount; now and then nobody, the token itself or the distributor takes an actor's place.
    function _parties(uint256 draw) private view returns (address from, address to, uint256 value) {
        from = _actors[(draw >> 8) % ACTORS];
        uint256 other = (draw >> 16) % (ACTORS + 3);
        if (other < ACTORS) to = _actors[other];
        else if (other == ACTORS) to = address(token);
        else if (other == ACTORS + 1) to = payer;
        value = bound(draw >> 24, 0, 60e18);
        if (draw >> 224 & 15 == 0) value = type(uint256).max;
    }

    function _movable(address from, address to, uint256 value) private view returns (bool) {
        return to != address(0) && to != address(token) && _balance[from] >= value;
    }

    function _move(address from, address to, uint256 value) private {
        _balance[from] -= value;
        _balance[to] += value;
    }

    function _call(bytes memory data) private returns (bool ok) {
        (ok,) = address(token).call(data);
    }

    function _digest(bytes32 structHash) private view returns (bytes32) {
        return keccak256(abi.encodePacked("\x19\x01", token.DOMAIN_SEPARATOR(), structHash));
    }

    function _compare() private view {
        uint256 sum = token.balanceOf(payer) + token.rewardPool();
        vm.assertEq(token.balanceOf(payer), _balance[payer], "balance of the distributor");
        vm.assertEq(token.rewardPool(), _balance[address(token)], "pool");
        for (uint256 i = 0; i < ACTORS; ++i) {
            address actor = _actors[i];
            sum += token.balanceOf(actor);
            uint256 votes;
            for (uint256 j = 0; j < ACTORS; ++j) {
                if (_delegate[_actors[j]] == actor) votes += _balance[_actors[j]];
                vm.assertEq(token.allowance(actor, _actors[j]), _allowance[actor][_actors[j]], "allowance");
            }
            vm.assertEq(token.balanceOf(actor), _balance[actor], "balance");
            vm.assertEq(token.credited(actor), _credited[actor], "lifetime credit");
            vm.assertEq(token.getVotes(actor), votes, "votes");
            vm.assertEq(token.nonces(actor), _nonce[actor], "nonce");
        }
        vm.assertEq(sum, SUPPLY, "the balances and the pool sum to the supply");
    }
}
