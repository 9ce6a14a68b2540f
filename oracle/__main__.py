from oracle.cli import main

main(prog_name="openledger")
