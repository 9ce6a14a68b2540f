"""Chat templates of strangers: what honest ones make is what transformers makes; others harm nobody but themselves."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from oracle.daemon.rendering import BadTemplate, NotRendered, Renderer

ASKED = [
    {"role": "system", "content": "Be <short> & kind."},
    {"role": "user", "content": "Who, “naïvely”?"},
    {"role": "assistant", "content": "Nobody."},
    {"role": "user", "content": "Why?\n"},
]
SPECIALS = {"bos_token": "<s>", "eos_token": "</s>"}
PATIENT = 60.0  # seconds: where time is not what is tested

CHATML = """{% for message in messages %}
<|im_start|>{{ message['role'] }}
{{ message.content | trim }}<|im_end|>
{% endfor %}
{% if add_generation_prompt %}
<|im_start|>assistant
{% endif %}"""

PICKY = """{{- bos_token }}
{%- if tools is not none %}{{ raise_exception('no tools here') }}{% endif %}
{%- for message in messages %}
    {%- if message.role == 'assistant' %}{% continue %}{% endif %}
    {{- '[' ~ loop.index ~ '] ' ~ message | tojson ~ eos_token }}
{%- endfor %}"""


@pytest.fixture
def renderers() -> Iterator[list[Renderer]]:
    made: list[Renderer] = []
    yield made
    for each in made:
        each.close()


@pytest.mark.parametrize("template", [CHATML, PICKY], ids=["chatml", "picky"])
def test_template__of_an_honest_builder__then_its_prompt_is_that_of_transformers(
    renderers: list[Renderer], template: str
) -> None:
    from transformers.utils.chat_template_utils import render_jinja_template

    (expected,), _ = render_jinja_template([ASKED], chat_template=template, add_generation_prompt=True, **SPECIALS)
    renderers.append(Renderer(template))
    assert renderers[0].render(ASKED, SPECIALS) == expected


@pytest.mark.parametrize(
    ("template", "why"),
    [
        ("{{ raise_exception('roles have to alternate') }}", "roles have to alternate"),
        ("{% for", "TemplateSyntaxError"),
        ("{{ 1 / 0 }}", "ZeroDivisionError"),
        ("{{ messages[99].content }}", "UndefinedError"),
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "SecurityError"),
        ("{{ messages.append(1) }}", "SecurityError"),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "RecursionError"),
        ("{{ 'x' * 5000000 }}", "5000004 characters"),
        ("{{ 'x' * 10 ** 10 }}", "more than 512 MB"),
        ("{% set a = namespace(x='x') %}{% for i in range(60) %}{% set a.x = a.x ~ a.x %}{% endfor %}", "512 MB"),
    ],
)
def test_template__that_fails__then_its_error_is_told_and_the_next_prompt_is_made(
    renderers: list[Renderer], template: str, why: str
) -> None:
    renderers.append(Renderer("{% if messages[0].role == 'system' %}" + template + "{% endif %}well", PATIENT, PATIENT))
    if template == "{% for":
        renderers[0] = Renderer(template, PATIENT, PATIENT)
    with pytest.raises(BadTemplate, match=why):
        renderers[0].render(ASKED, SPECIALS)
    if template != "{% for":
        assert renderers[0].render(ASKED[1:], SPECIALS) == "well"


ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"


def test_template__that_never_ends__then_it_is_ended_and_left_alone_for_a_while(renderers: list[Renderer]) -> None:
    now = [0.0]
    template = "{% if messages | length > 1 %}" + ENDLESS + "{% endif %}well"
    renderer = Renderer(template, 0.5, PATIENT, lambda: now[0])
    renderers.append(renderer)
    assert renderer.render(ASKED[:1], SPECIALS) == "well"
    child = renderer._child.process
    assert child is not None
    with pytest.raises(BadTemplate, match=r"more than 0\.5 s of the processor"):
        renderer.render(ASKED, SPECIALS)
    assert child.returncode == -signal.SIGPROF
    with pytest.raises(BadTemplate, match="a moment ago"):
        renderer.render(ASKED[:1], SPECIALS)
    now[0] = 11.0
    assert renderer.render(ASKED[:1], SPECIALS) == "well"


def test_template__while_the_machine_does_not_come_to_it__then_nothing_is_held_against_it(
    renderers: list[Renderer],
) -> None:
    renderer = Renderer("well", patience=0.1)
    renderers.append(renderer)
    renderer.render(ASKED, SPECIALS)
    child = renderer._child.process
    assert child is not None
    child.send_signal(signal.SIGSTOP)  # as one that gets none of the processor
    with pytest.raises(NotRendered, match="ask again"):
        renderer.render(ASKED, SPECIALS)
    renderer._patience = PATIENT
    assert renderer.render(ASKED, SPECIALS) == "well"


def test_template__that_never_ends_while_its_owner_is_gone__then_the_system_ends_it(renderers: list[Renderer]) -> None:
    import orjson

    from oracle.apart import send

    renderer = Renderer("well", 0.5)
    renderers.append(renderer)
    renderer.render(ASKED, SPECIALS)
    child = renderer._child.process
    assert child is not None
    assert child.stdin is not None
    send(child.stdin, orjson.dumps([ENDLESS, {}]))
    assert child.wait(timeout=60) == -signal.SIGPROF
