"""Keys, networks and the explorer's view of a deployment, against a stand-in for the explorer."""

import json
import threading
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import deploy as script
import pytest
import solcx
import yaml
from brownie import accounts, project, web3
from eth_account import Account
from eth_utils import keccak

from deployment.record import CONTRACTS, Record
from deployment.steps import Sender, Stopped
from deployment.verify import Explorer, sources, submit

KEY = "an explorer's key"


class StandIn(BaseHTTPRequestHandler):
    """Answers as Etherscan's API does: takes a source, says once that it is pending, then that it is verified."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        form = dict(urllib.parse.parse_qsl(body, keep_blank_values=True))
        query = dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.path).query))
        self.server.requests.append((query, form))
        answer = json.dumps(self.server.answer(form)).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        """Keeps the test's output clean."""


def answering(form):
    if form["action"] == "verifysourcecode":
        return {"status": "1", "message": "OK", "result": f"guid {form['contractaddress']}"}
    return {"status": "1", "message": "OK", "result": "Pass - Verified"}


@pytest.fixture
def explorer():
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    server.requests, server.answer = [], answering
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def client(explorer):
    return Explorer(f"http://127.0.0.1:{explorer.server_port}/v2/api", 11155111, KEY, pause=0)


@pytest.fixture(scope="module")
def compiled():
    return project.get_loaded_projects()[0]


@pytest.fixture
def record(compiled, parameters, actors, tmp_path):
    return script.deploy(compiled, parameters, Sender(actors.deployer.account), tmp_path, None, lambda _: None)


@pytest.fixture
def prepared(compiled, record):
    return sources(compiled, record, script.ROOT, script._remappings())


def sent(explorer, action):
    return [(query, form) for query, form in explorer.requests if form["action"] == action]


def test_verify__when_sent__then_the_explorer_gets_each_contract_in_its_own_shape(explorer, client, prepared, record):
    submit(prepared, client, lambda _: None)
    posted = sent(explorer, "verifysourcecode")
    assert [form["contractname"] for _, form in posted] == [f"contracts/{name}.sol:{name}" for name in CONTRACTS]
    for (query, form), name in zip(posted, CONTRACTS, strict=True):
        known = record.launcher if name == "Launcher" else record.contract(name)
        assert query == {"chainid": "11155111"}
        assert form["module"] == "contract"
        assert form["codeformat"] == "solidity-standard-json-input"
        assert form["compilerversion"] == "v0.8.30+commit.73712a01"
        assert form["contractaddress"] == known["address"]
        assert form["apikey"] == KEY
        assert form["constructorArguements"] == known.get("encoded_arguments", "0x")[2:]
        assert f"contracts/{name}.sol" in json.loads(form["sourceCode"])["sources"]


def test_verify__when_the_explorer_is_still_busy__then_it_is_asked_again(explorer, client, prepared):
    answers = iter(["Pending in queue", "Pending in queue", "Pass - Verified"])

    def busy(form):
        if form["action"] == "verifysourcecode":
            return answering(form)
        result = next(answers)
        return {"status": "1" if result.startswith("Pass") else "0", "result": result}

    explorer.answer = busy
    submit(prepared[:1], client, lambda _: None)
    guids = {form["guid"] for _, form in sent(explorer, "checkverifystatus")}
    assert guids == {f"guid {prepared[0].address}"}
    assert len(sent(explorer, "checkverifystatus")) == 3


def test_verify__when_one_contract_is_refused__then_the_others_are_sent_and_it_is_named(explorer, client, prepared):
    def picky(form):
        if form.get("contractname", "").endswith(":OpenToken"):
            return {"status": "0", "result": "Bytecode does not match"}
        return answering(form)

    explorer.answer = picky
    said = []
    with pytest.raises(Stopped, match="not verified: OpenToken"):
        submit(prepared, client, said.append)
    assert sum(line.endswith("  verified") for line in said) == len(CONTRACTS) - 1


def test_verify__when_a_contract_is_verified_already__then_that_is_success(explorer, client, prepared):
    explorer.answer = lambda form: {"status": "0", "result": "Contract source code already verified"}
    submit(prepared, client, lambda _: None)


def test_verify__when_the_explorer_is_away__then_it_says_so(prepared, explorer):
    gone = Explorer("http://127.0.0.1:9/v2/api", 11155111, KEY, pause=0)
    with pytest.raises(Stopped, match="does not answer"):
        submit(prepared, gone, lambda _: None)


def test_verify__when_the_deployment_is_not_complete__then_it_is_refused(compiled, tmp_path):
    with pytest.raises(Stopped, match="not of a complete deployment"):
        sources(compiled, Record(tmp_path / "none.json"), script.ROOT, [])


def test_sources__when_compiled_again__then_they_give_the_code_that_was_deployed(prepared):
    timelock = next(source for source in prepared if source.name == "OpenTimelock")
    output = solcx.compile_standard(timelock.standard_json, solc_version="0.8.30")
    again = output["contracts"][timelock.path][timelock.name]["evm"]["bytecode"]["object"]
    launched = web3.eth.get_transaction(_transaction(timelock.address))["input"]
    assert again + timelock.arguments in launched.hex()


def _transaction(address):
    block = next(n for n in range(web3.eth.block_number + 1) if web3.eth.get_code(address, block_identifier=n))
    return web3.eth.get_block(block)["transactions"][0]


def test_sources__when_written__then_they_can_be_uploaded_by_hand_and_name_no_place_on_this_machine(prepared, tmp_path):
    folder = tmp_path / "verification"
    for source in prepared:
        assert json.loads(source.write(folder).read_text())["language"] == "Solidity"
    written = "".join(path.read_text() for path in folder.iterdir())
    assert len(list(folder.iterdir())) == 2 * len(CONTRACTS)
    assert str(script.ROOT) not in written


def test_record__when_complete__then_it_names_no_place_on_this_machine(record):
    text = record.path.read_text()
    assert str(script.ROOT) not in text
    assert str(Path.home()) not in text


# Keys


@pytest.fixture
def keystore(tmp_path, monkeypatch):
    key = keccak(text="openledger test deployer's keystore")
    path = tmp_path / "deployer.json"
    path.write_text(json.dumps(Account.encrypt(key, "right", kdf="pbkdf2", iterations=1_000)))
    password = tmp_path / "password"
    password.write_text("right\n")
    monkeypatch.setenv("OPENLEDGER_DEPLOYER", str(path))
    monkeypatch.setenv("OPENLEDGER_DEPLOYER_PASSWORD_FILE", str(password))
    return password


def test_deployer__when_a_keystore_is_named__then_it_is_opened_with_the_password_of_the_file(keystore):
    assert script._account().address == Account.from_key(keccak(text="openledger test deployer's keystore")).address


def test_deployer__when_the_password_is_wrong__then_it_stops_without_telling_it(keystore):
    keystore.write_text("wrong horse")
    with pytest.raises(Stopped, match="cannot be opened") as stopped:
        script._account()
    assert "wrong horse" not in str(stopped.value)


def test_deployer__when_there_is_no_such_keystore__then_it_says_how_to_make_one(monkeypatch):
    monkeypatch.setenv("OPENLEDGER_DEPLOYER", "nobody-of-this-name")
    with pytest.raises(Stopped, match="brownie accounts generate nobody-of-this-name"):
        script._account()


def test_deployer__when_none_is_named__then_only_a_local_chain_has_one(monkeypatch):
    monkeypatch.delenv("OPENLEDGER_DEPLOYER", raising=False)
    assert script._account() == accounts[0]
    monkeypatch.setattr(script, "LOCAL_CHAINS", ())
    with pytest.raises(Stopped, match="OPENLEDGER_DEPLOYER"):
        script._account()


def test_networks__when_imported__then_brownie_knows_each_by_its_chain_id():
    # Here, not above: Brownie hashes what a test imports above as text, and this module is compiled.
    from brownie._cli.networks import PROD_REQUIRED

    given = yaml.safe_load((script.ROOT / "scripts" / "networks.yaml").read_text())
    networks = [network for environment in given["live"] for network in environment["networks"]]
    assert {network["id"]: network["chainid"] for network in networks} == {
        "ethereum-sepolia": 11155111,
        "base-sepolia": 84532,
        "arbitrum-sepolia": 421614,
    }
    for network in networks:
        assert set(PROD_REQUIRED) <= set(network)
        assert network["explorer"] == "https://api.etherscan.io/v2/api"
