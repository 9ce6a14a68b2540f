// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.30;

import { ECDSA } from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import { EIP712 } from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title Contributions kept as one struct each in storage, as attestation and file registries do
/// @notice Mirrors the job of DatanetRegistry's contribute and contributeMany. Not deployed with the suite.
contract BaselineRegistry is EIP712 {
    struct File {
        address contributor;
        uint48 count;
        uint40 addedAt;
        uint8 kind;
        bytes32 rowsRoot;
        bytes32 manifestHash;
    }

    struct SignedFile {
        address contributor;
        uint8 kind;
        bytes32 rowsRoot;
        uint48 count;
        bytes32 manifestHash;
        uint256 deadline;
        bytes signature;
    }

    bytes32 public constant FILE_TYPEHASH = keccak256(
        "File(address contributor,uint256 datanet,uint8 kind,bytes32 rowsRoot,uint256 count,"
        "bytes32 manifestHash,uint256 deadline)"
    );

    uint256 public datanets;
    mapping(uint256 datanet => mapping(bytes32 id => File)) public fileOf;

    event DatanetCreated(uint256 indexed datanet);
    event FileAdded(uint256 indexed datanet, address indexed contributor, bytes32 indexed id);

    error UnknownDatanet(uint256 datanet);
    error AlreadyAdded(bytes32 id);
    error EmptyRows();
    error Expired(uint256 deadline);
    error InvalidSignature(address contributor);

    constructor() EIP712("BaselineRegistry", "1") { }

    function createDatanet() external returns (uint256 datanet) {
        datanet = ++datanets;
        emit DatanetCreated(datanet);
    }

    function contribute(uint256 datanet, uint8 kind, bytes32 rowsRoot, uint48 count, bytes32 manifestHash) external {
        _add(datanet, msg.sender, kind, rowsRoot, count, manifestHash);
    }

    function contributeMany(uint256 datanet, SignedFile[] calldata files) external {
        for (uint256 i = 0; i < files.length; ++i) {
            SignedFile calldata file = files[i];
            if (block.timestamp > file.deadline) revert Expired(file.deadline);
            bytes32 digest = _hashTypedDataV4(
                keccak256(
                    abi.encode(
                        FILE_TYPEHASH,
                        file.contributor,
                        datanet,
                        file.kind,
                        file.rowsRoot,
                        file.count,
                        file.manifestHash,
                        file.deadline
                    )
                )
            );
            if (ECDSA.recoverCalldata(digest, file.signature) != file.contributor) {
                revert InvalidSignature(file.contributor);
            }
            _add(datanet, file.contributor, file.kind, file.rowsRoot, file.count, file.manifestHash);
        }
    }

    function _add(
        uint256 datanet,
        address contributor,
        uint8 kind,
        bytes32 rowsRoot,
        uint48 count,
        bytes32 manifestHash
    ) private {
        if (datanet == 0 || datanet > datanets) revert UnknownDatanet(datanet);
        if (rowsRoot == 0 || count == 0) revert EmptyRows();
        // Named by content and author, so that a signature relayed twice cannot add the file twice.
        bytes32 id = keccak256(abi.encode(contributor, kind, rowsRoot, count, manifestHash));
        if (fileOf[datanet][id].contributor != address(0)) revert AlreadyAdded(id);
        fileOf[datanet][id] = File(contributor, count, uint40(block.timestamp), kind, rowsRoot, manifestHash);
        emit FileAdded(datanet, contributor, id);
    }
}
