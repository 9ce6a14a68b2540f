"""An operator who answers by a model that was really trained, and discloses; and attestors on machines of their own."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as kinds
from unit.settlement.stage import Stage
from unit.settlement.world import SPLIT, Person, text

from fixtures.anvil import CHAIN
from fixtures.attribution import FACTS, VOCABULARY
from fixtures.opened import LETTERS, PRICES, settings_of
from oracle.api.asking import canonical
from oracle.api.keys import Keyring
from oracle.attribution.answering import Answer, Attributable, load
from oracle.attribution.records import Query
from oracle.chain.signer import KeystoreSigner
from oracle.commands.settlement import onchain_of, registries_of
from oracle.config import Settings
from oracle.daemon.attributing import as_weights
from oracle.daemon.fetching import Fetching
from oracle.daemon.ground import Ground
from oracle.daemon.recomputing import recomputer_of
from oracle.daemon.registered import Registered
from oracle.errors import Retry
from oracle.settlement.attest import Opinion, Policy
from oracle.settlement.drawing import Drawing
from oracle.settlement.hashing import NOTHING, keccak
from oracle.settlement.post import Settler
from oracle.settlement.shares import shares_of
from oracle.settlement.watching import Publisher, Watching
from oracle.store import answers, models, receipts
from oracle.store.answers import Exchange
from oracle.store.batches import Batch, State
from oracle.store.folder import Folder
from oracle.store.models import Version
from oracle.store.receipts import Attribution
from oracle.store.sealed import seal_exchange
from oracle.types import ChainId, DatanetId, Hash32, Timestamp

FOREVER = Timestamp(10**10)


def tokenizer() -> Tokenizer:
    """A letter for each token that the model knows."""
    made = Tokenizer(kinds.WordLevel({LETTERS[i]: i for i in range(VOCABULARY)}, unk_token="?"))
    made.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    made.decoder = decoders.Fuse()
    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {
        file.relative_to(folder).as_posix(): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()
    }


def hashes(files: dict[str, bytes]) -> dict[str, str]:
    return {name: sha256(content).hexdigest() for name, content in files.items()}


@dataclass
class Operator:
    """A stage whose operator has answered by the trained model, and its server."""

    stage: Stage
    ground: Ground
    trained: Path
    url: str

    @property
    def settings(self) -> Settings:
        return self.ground.settings

    def publish(self, *retrieval: DatanetId) -> None:
        """The model's second version, whose manifest is on chain and whose files are public. It may look things up."""
        stage, blobs = self.stage, self.ground.blobs
        under, over = contents(self.trained / "base"), contents(self.trained / "adapter")
        manifest = json.dumps({"base": {"files": hashes(under)}, "files": hashes(over)}).encode()
        name, nothing = Hash32(sha256(manifest).digest()), Hash32(bytes(32))
        artifacts = (text("adapter"), name, text("evaluation"), text("accuracy"))
        stage.send("ModelRegistry", "register", "tiny", True, 0, 0, sender=stage.world.builder)
        number = stage.suite.read("ModelRegistry", "modelCount")
        stage.send("ModelRegistry", "publish", stage.model, artifacts, SPLIT, [], [], sender=stage.world.builder)
        first = Version("tiny", text("weights"), nothing, nothing, nothing, SPLIT, {}, is_base=True)
        tiny = replace(first, files={file: blobs.put(content) for file, content in under.items()})
        files = {file: blobs.put(content) for file, content in (over | {"manifest.json": manifest}).items()}
        with stage.database.transaction() as connection:
            ground = models.prepare(connection, ChainId(CHAIN), "tiny", stage.world.builder, PRICES, tiny)
            models.move(connection, ground.position, "published", model=number)
            models.prepare(connection, ChainId(CHAIN), "bees", stage.world.builder, PRICES, first)
            made = models.prepare(
                connection, ChainId(CHAIN), "bees", stage.world.builder, PRICES,
                replace(first, weights=text("adapter"), manifest=name, files=files, is_base=False,
                        retrieval=retrieval),
            )  # fmt: skip
            models.move(connection, made.position, "published", model=stage.model)
        stage.suite.anvil.mine(3)
        now = stage.onchain.facts().now
        stage.world.version = 2
        stage.world.serve_under(stage.registries().terms(stage.model, 2, now), now)

    def serve(self, lie: Callable[[Attribution], Attribution] = lambda found: found, count: int = 9) -> None:
        """Questions that the rows teach, with what attribution says of them, or a lie."""
        opened = Attributable(
            load(self.trained / "base", self.trained / "adapter"), self.trained / "adapter" / "attribution"
        )
        world, keyring, vault = self.stage.world, Keyring(self.settings.master_key), self.ground.stores.vault
        letters = tokenizer()
        assert vault is not None
        with self.stage.database.transaction() as connection:
            receipts.put_terms(connection, world.terms_name, world.terms)
            for number in range(count):
                person, fact = world.people[number % len(world.people)], FACTS[number % 4]
                prompt, output = fact.tokens[: fact.answer_from], fact.tokens[fact.answer_from :]
                asked, told = letters.decode(list(prompt)), letters.decode(list(output))
                one = world.receipt(person)
                salt = keyring.salt(one.id)
                one = replace(
                    one, prompt=keccak(salt + canonical(asked)), output=keccak(salt + canonical([told])),
                    prompt_tokens=len(prompt), output_tokens=len(output), conditions=NOTHING,
                )  # fmt: skip
                name, signature = world.signed(one)
                query = Query(one.id.hex(), fact.tokens, fact.answer_from)
                paid = lie(as_weights(opened.explain([Answer(query)])[0]))
                exchange = Exchange(prompt, output, asked, told, (), asked, (told,))
                receipts.put_receipt(connection, ChainId(CHAIN), name, one, signature)
                receipts.fix_attribution(connection, ChainId(CHAIN), name, paid)
                answers.keep(
                    connection, ChainId(CHAIN), one.id, 3, seal_exchange(vault, person.address, exchange), FOREVER
                )
                for _, earner, amount in shares_of(one.fee, world.terms, paid):
                    world.owed[earner] += amount
            for person in world.people:
                receipts.keep_voucher(connection, ChainId(CHAIN), world.voucher(person))

    def published(self, settler: Settler | None = None) -> Batch:
        """A batch that waits for attestors, whose vouchers are settled."""
        settler = settler or self.stage.settler()
        batch = self.stage.until(settler, State.PUBLISHED, attesting=False)
        for _ in range(3):
            self.stage.step(settler, attesting=False)
        return batch

    def attestor(self, one: Person, **policy: int) -> Watching:
        """On a machine of its own: home, index, journal and key."""
        ground = Ground(settings_of(self.settings.home / one.name, self.stage.suite))
        publisher, onchain, signer = Publisher(self.url), onchain_of(ground), KeystoreSigner(one.eth)
        home = ground.settings.home
        journal, given = Folder(str(home / "attested")), home / "disclosed"
        known = Registered(ground, publisher)
        recompute = recomputer_of(home / "models", given, Fetching(publisher, known.manifest_of), known)
        return Watching(
            publisher, onchain, signer, journal, Policy(**policy), recompute, lambda: registries_of(ground),
            Drawing(publisher, onchain, signer, journal, given),
        )  # fmt: skip

    def opinion(self, watching: Watching) -> Opinion:
        """What it says in the end; meanwhile the chain goes on."""
        for _ in range(12):
            try:
                said = watching.turn()
            except Retry:
                self.stage.suite.anvil.mine(2)
            else:
                assert said is not None
                return said
        raise AssertionError("it never said anything")
