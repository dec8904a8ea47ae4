"""Chat templates that never end, or take all memory, are given up; others are rendered as Transformers renders them."""

import json
import os
import threading

import pytest
from architectures import FAMILIES, make_tokenizer
from jinja2.exceptions import TemplateError

from ssr_nb.chat import PLAIN_TEMPLATE, chat_text, prepare_tokenizer, settled_template
from ssr_nb.machine import ModelError
from ssr_nb.rendering import Endless, Renderer, render

TALK = [{"role": "user", "content": "Where is the lämp? <|im_end|> \ud83d"}, {"role": "assistant", "content": "In the attic.\n"},
        {"role": "user", "content": "Why?"}]
WORDS = ("{{ messages | tojson }}{{ messages | tojson(indent=2) }}{{ {'b': 1, 'a': 'ä'} | tojson(sort_keys=true, ensure_ascii=true) }}\n"
         "  {% for m in messages %}\n  {% if loop.first %}{% continue %}{% endif %}\n{{ m.content | trim }}\n"
         "{% if loop.index > 2 %}{% break %}{% endif %}\n  {% endfor %}{{ tools is none }}{{ documents is none }}{{ tools }}"
         "{% generation %}<{{ messages[1].content }}>{% endgeneration %}{{ bos_token }}{{ nothing }}{{ nothing is defined }}")


@pytest.mark.parametrize("name", [*FAMILIES, "plain", "words"])
@pytest.mark.parametrize("more", [{}, {"add_generation_prompt": True}])
def test_a_template_is_rendered_as_transformers_renders_it(name, more):
    from transformers.utils.chat_template_utils import render_jinja_template

    template = {"plain": PLAIN_TEMPLATE, "words": WORDS}.get(name) or FAMILIES[name][0]
    for template in (template, settled_template(template), settled_template(template, True)):
        theirs, _ = render_jinja_template([TALK], chat_template=template, bos_token="<s>", eos_token="</s>", **more)
        ours = render(template, messages=TALK, tools=None, documents=None, bos_token="<s>", eos_token="</s>",
                      **{"add_generation_prompt": False} | more)
        assert [ours] == theirs


@pytest.mark.parametrize("name", FAMILIES)
def test_a_tokenizer_s_own_marks_are_known(name):
    tokenizer = make_tokenizer(name)
    text = chat_text(tokenizer, TALK)
    assert text.startswith(tokenizer.apply_chat_template(TALK, tokenize=False)[:40])


def test_what_a_template_refuses_is_said():
    for template, said in (("{{ raise_exception('no système') }}", "no système"), ("{{ 1 / 0 }}", "ZeroDivisionError"),
                           ("{% for %}", "Expected"), ("{{ messages.append(1) }}", "immutable|unsafe|not safe")):
        with pytest.raises(TemplateError, match=said):
            render(template, messages=TALK)


@pytest.fixture(scope="module")
def quick():
    renderer = Renderer(seconds=0.5)
    yield renderer
    renderer.end.close()


ENDLESS = ["{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}", "{{ 9**(9**9) }}",
           "{% set n = namespace(t='xxxxxxxx') %}{% for i in range(60) %}{% set n.t = n.t ~ n.t %}{% endfor %}",
           "{{ 'x' * 10**11 }}", "{{ ['x' * 10**6] | list * 10**6 }}", "{{ '' | center(10**11) }}", "{{ 'x' * (10**7 + 1) }}",
           "{{ range(99999) | map('string') | join('x' * 99999) }}", "{{ lipsum(n=10**7) }}"]


@pytest.mark.parametrize("template", ENDLESS)
def test_a_template_that_takes_too_much_is_given_up(quick, template):
    with pytest.raises((Endless, TemplateError)):
        quick.render(template, {"messages": TALK})
    assert quick.render("{{ messages[0].content }}", {"messages": TALK}) == TALK[0]["content"], "the next is rendered"


def test_a_template_that_ends_for_some_messages_alone(quick):
    template = "{% for m in messages %}{% if 'trap' in m.content %}{{ 9**(9**(m.content | length + 5)) }}{% endif %}{{ m.content }}{% endfor %}"
    assert quick.render(template, {"messages": [{"content": "lamp"}]}) == "lamp"
    with pytest.raises(Endless, match="0.5 seconds|memory"):
        quick.render(template, {"messages": [{"content": "trap"}]})


def test_threads_take_turns(quick):
    found = {}

    def ask(i):
        found[i] = [quick.render("{{ a }}-{{ b }}", {"a": i, "b": j}) for j in range(20)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {i: [f"{i}-{j}" for j in range(20)] for i in range(6)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_has_a_process_of_its_own(quick):
    assert quick.render("{{ a }}", {"a": 1}) == "1"
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(writing, json.dumps([quick.render("{{ a }}", {"a": f"child {i}"}) for i in range(50)]).encode())
        finally:
            os._exit(0)
    mine = [quick.render("{{ a }}", {"a": f"parent {i}"}) for i in range(50)]
    os.waitpid(child, 0)
    assert mine == [f"parent {i}" for i in range(50)] and json.loads(os.read(reading, 9999)) == [f"child {i}" for i in range(50)]


def test_a_process_that_was_ended_is_begun_anew(quick):
    quick.render("{{ a }}", {"a": 1})
    quick.end.process.kill()
    quick.end.process.wait()
    assert quick.render("{{ a }}", {"a": 2}) == "2"


def test_a_model_whose_template_never_ends_is_refused(monkeypatch):
    tokenizer = make_tokenizer("qwen25")
    with pytest.raises(ModelError, match="a chat template that takes more than .*; expected one that ends soon"):
        prepare_tokenizer(tokenizer, "x", "{{ 'x' * 10**11 }}")
    monkeypatch.setattr("ssr_nb.rendering._renderer", Renderer(seconds=0.5))
    with pytest.raises(ModelError, match="a chat template that takes more than 0.5 seconds"):
        prepare_tokenizer(tokenizer, "x", "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}")
