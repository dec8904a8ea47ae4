"""Prompts, answers and labels under the chat templates of the families that people use,
over small random models of their architectures."""

import dataclasses

import pytest
import torch
from architectures import FAMILIES, make_model, make_tokenizer

from ssr_nb.adapters import load_adapter, remove_lora
from ssr_nb.chat import (answer_ids, chat_ids, chat_messages, chat_text, prepare_tokenizer, settled_template,
                         special_ids, split_thinking, stop_ids)
from ssr_nb.machine import ModelError
from ssr_nb.models import load_model
from ssr_nb.records import Example, RecordError, Target
from ssr_nb.respond import completion_logprobs, respond
from ssr_nb.losses import IGNORED
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import encode, encode_all, train

QUESTION = "Where is the lamp of Mira?"
SYSTEM = [{"role": "system", "content": "Answer in one word."}, {"role": "user", "content": QUESTION}]
DIALOGUE = [{"role": "user", "content": "Where is the lamp?"}, {"role": "assistant", "content": "In the attic."},
            {"role": "user", "content": QUESTION}]
PROMPTS = {"text": QUESTION, "system": SYSTEM, "dialogue": DIALOGUE}
ENDS = {"llama3": "<|eot_id|>", "qwen25": "<|im_end|>", "qwen3": "<|im_end|>", "mistral": "</s>",
        "gemma2": "<end_of_turn>", "gemma3": "<end_of_turn>", "marked": "<|im_end|>"}
ASKED = {  # the end of what is rendered before an answer
    "llama3": ("<|start_header_id|>user<|end_header_id|>\n\nWhere is the lamp of "
               "Mira?<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n"),
    "qwen25": "<|im_start|>user\nWhere is the lamp of Mira?<|im_end|>\n<|im_start|>assistant\n",
    "qwen3": "<|im_start|>user\nWhere is the lamp of Mira?<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n",
    "mistral": "[INST] Where is the lamp of Mira? [/INST]",
    "gemma2": "<start_of_turn>user\nWhere is the lamp of Mira?<end_of_turn>\n<start_of_turn>model\n",
}
ASKED |= {"gemma3": ASKED["gemma2"], "marked": ASKED["qwen25"]}


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return request.param


@pytest.fixture(scope="module")
def tokenizer(family):
    return prepare_tokenizer(make_tokenizer(family), family)


@pytest.fixture(scope="module")
def lm(family, tmp_path_factory):
    return load_model(make_model(family, tmp_path_factory.mktemp(family)), backend="transformers", device="cpu")


@pytest.mark.parametrize("kind", PROMPTS)
@pytest.mark.parametrize("answer", ["It is in the attic.", "attic", "I", "two\n\nlines",
                                    "a mark of its own: <|im_end|></s><end_of_turn>", "  spaces  "])
def test_labels_are_the_answer_and_the_end_of_its_turn(family, tokenizer, kind, answer):
    row = encode(Target("q", PROMPTS[kind], answer, "gold"), tokenizer)
    learnt = [i for i, label in enumerate(row["labels"]) if label != IGNORED]
    assert (learnt == list(range(learnt[0], len(row["labels"])))
            and [row["input_ids"][i] for i in learnt] == row["labels"][learnt[0]:])
    assert row["input_ids"][: learnt[0]] == chat_ids(tokenizer, PROMPTS[kind])
    assert tokenizer.decode(row["labels"][learnt[0]:]).strip().removesuffix(ENDS[family]).strip() == answer.strip()
    assert row["labels"][-1] == tokenizer.convert_tokens_to_ids(ENDS[family])


def test_prompts_end_where_the_assistant_speaks(family, tokenizer):
    assert chat_text(tokenizer, QUESTION).endswith(ASKED[family])
    assert chat_ids(tokenizer, QUESTION) == tokenizer.apply_chat_template([{"role": "user", "content": QUESTION}],
                                                                          add_generation_prompt=True, return_dict=False)
    for prompt in PROMPTS.values():  # the beginning of the text is marked once
        assert sum(t == tokenizer.bos_token_id
                   for t in chat_ids(tokenizer, prompt)) == (tokenizer.bos_token is not None)


def test_a_system_turn_is_never_lost(family, tokenizer):
    messages = chat_messages(tokenizer, SYSTEM)
    folded = family in ("mistral", "gemma2", "gemma3")
    assert [m["role"] for m in messages] == (["user"] if folded else ["system", "user"])
    assert (chat_text(tokenizer, SYSTEM).count("Answer in one word.") == chat_text(tokenizer, SYSTEM)
            .count(QUESTION) == 1)
    if folded:
        assert messages[0]["content"] == f"Answer in one word.\n\n{QUESTION}"
    assert [m["role"] for m in SYSTEM] == ["system", "user"] and SYSTEM[1]["content"] == QUESTION


def test_a_system_turn_that_is_dropped_in_silence_is_folded():
    tokenizer = make_tokenizer("qwen25")
    tokenizer.chat_template = ("{% for m in messages if m['role'] != 'system' %}<|im_start|>{{ m['content'] "
                               "}}<|im_end|>{% endfor %}")
    assert chat_messages(tokenizer, SYSTEM)[0]["content"].startswith("Answer in one word.")


def test_conversations_that_a_template_refuses():
    tokenizer = make_tokenizer("mistral")
    with pytest.raises(ModelError, match=r"refuses user, user \(Conversation roles must alternate"):
        chat_ids(tokenizer, [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}])


def test_generation_marks_agree_with_the_labels():
    tokenizer = make_tokenizer("marked")
    row = encode(Target("q", QUESTION, "In the attic.", "own"), tokenizer)
    told = tokenizer.apply_chat_template([{"role": "user", "content": QUESTION}, {
        "role": "assistant", "content": "In the attic."}], return_dict=True, return_assistant_tokens_mask=True)
    marked = [t for t, mask in zip(told["input_ids"], told["assistant_masks"]) if mask]
    assert marked and marked == [label for label in row["labels"] if label != IGNORED]


def test_the_day_stands_still():
    tokenizer = prepare_tokenizer(make_tokenizer("llama3"), "x")
    assert "Today Date: 26 Jul 2024" in chat_text(tokenizer, QUESTION)
    tokenizer.chat_template = "{{ strftime_now('%Y-%m-%d, %B') }}{% for m in messages %}{{ m['content'] }}{% endfor %}"
    assert "2024-07-26, July" not in chat_text(tokenizer, QUESTION)
    assert chat_text(prepare_tokenizer(tokenizer, "x"), QUESTION).startswith("2024-07-26, July")


def test_templates_are_settled_once():
    for thinking in (True, False):
        for template in (FAMILIES["qwen3"][0], FAMILIES["llama3"][0], FAMILIES["gemma2"][0]):
            settled = settled_template(template, thinking)
            assert (settled_template(settled, thinking) == settled
                    and settled_template(settled_template(template, not thinking), thinking) == settled)


def test_thinking_is_left_out_unless_it_is_asked_for():
    quiet, thinks = (prepare_tokenizer(make_tokenizer("qwen3"), "x", thinking=t) for t in (False, True))
    thought = "<think>\nThe attic?\n</think>\n\nIn the attic."
    assert quiet.decode(answer_ids(quiet, QUESTION, thought)) == "In the attic.<|im_end|>"
    assert thinks.decode(answer_ids(thinks, QUESTION, thought)) == thought + "<|im_end|>"
    assert chat_text(thinks, QUESTION).endswith("<|im_start|>assistant\n")
    gemma = prepare_tokenizer(make_tokenizer("gemma2"), "x")
    assert ("attic?" not in gemma.decode(answer_ids(gemma, QUESTION, thought))
            and "In the attic." in gemma.decode(answer_ids(gemma, QUESTION, thought)))


def test_a_template_that_opens_the_thinking_itself():
    "As DeepSeek's R1 has it: the block is opened for the model, and what it thought is dropped from its turn."
    template = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'].split('</think>')[-1] "
                "}}<|im_end|>{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}")
    tokenizer = prepare_tokenizer(make_tokenizer("qwen3"), "x", template)
    row = encode(Target("q", QUESTION, "In the attic.", "own"), tokenizer)
    assert tokenizer.decode(row["input_ids"]).endswith("assistant\n<think>\n\n</think>\n\nIn the attic.<|im_end|>")
    thinks = prepare_tokenizer(make_tokenizer("qwen3"), "x", template, thinking=True)
    assert chat_text(thinks, QUESTION).endswith("<think>\n")
    with pytest.raises(ModelError, match="continuation|begin with the prompt"):  # what it drops can't be trained on
        answer_ids(thinks, QUESTION, "<think>\nWhere?</think>In the attic.")


@pytest.mark.parametrize("text, parts", [
    ("In the attic.", ("", "In the attic.")), ("<think>\n\n</think>\n\nIn the attic.", ("", "In the attic.")),
    ("where?\n</think>\n\nIn the attic.", ("where?", "In the attic.")), ("<think>where", ("where", "")), ("", ("", "")),
    ("a <think> in the middle", ("", "a <think> in the middle")), (" <think>a</think>b</think>c", ("a", "b</think>c"))])
def test_thinking_is_split_off(text, parts):
    assert split_thinking(text) == parts


def test_a_row_without_labels_is_shown():
    tokenizer = make_tokenizer("qwen25")
    with pytest.raises(RecordError, match=r"target 'q7'.*no text to learn.*Where is the lamp"):
        encode(Target("q7", QUESTION, "<think>nothing but thought</think>", "own"), tokenizer)
    tokenizer.chat_template = tokenizer.chat_template.replace("m['content']",
                                                              "('' if m['role'] == 'assistant' else m['content'])")
    with pytest.raises(RecordError, match="target 'q8'"):
        encode(Target("q8", QUESTION, "attic", "gold"), tokenizer)
    tokenizer.chat_template = "{% for m in messages if m['role'] != 'assistant' %}{{ m['content'] }}{% endfor %}"
    with pytest.raises(RecordError, match="target 'q9'"):
        encode(Target("q9", QUESTION, "attic", "gold"), tokenizer)


def test_a_token_across_the_border_is_parted():
    "A byte-level tokenizer joins the line break of the template with those that an answer begins with."
    tokenizer = make_tokenizer("qwen25")
    tokenizer.backend_tokenizer.add_tokens(["\n\n\n"])
    row = encode(Target("q", QUESTION, "\n\nattic", "own"), tokenizer)
    assert tokenizer.decode(row["input_ids"]).endswith("assistant\n\n\nattic<|im_end|>")
    assert tokenizer.decode([t for t in row["labels"] if t != IGNORED]) == "\n\nattic<|im_end|>"


def test_a_turn_without_an_end_is_given_one():
    tokenizer = prepare_tokenizer(make_tokenizer("gemma2"), "x", "{% for m in messages %}{{ m['role'] }}: "
                                  "{{ m['content'] }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}")
    assert answer_ids(tokenizer, QUESTION, "attic")[-1] == tokenizer.eos_token_id


def test_what_ends_the_conversation_is_not_learnt():
    "As Phi 3 has it: each turn is closed, and the whole once more."
    tokenizer = prepare_tokenizer(make_tokenizer("qwen25"), "x", FAMILIES["qwen25"][0].replace(
        "{%- if add_gen", "{%- if not add_generation_prompt %}{{- '<|endoftext|>' }}{%- endif %}{%- if add_gen"))
    assert tokenizer.decode(answer_ids(tokenizer, QUESTION, "attic")) == "attic<|im_end|>"


def test_marks_without_a_name_are_marks():
    tokenizer = make_tokenizer("gemma2")
    end = tokenizer.convert_tokens_to_ids("<end_of_turn>")
    assert end not in tokenizer.all_special_ids and end in special_ids(tokenizer)


def test_a_model_of_the_family_answers_learns_and_is_found_again(family, lm, tmp_path):
    examples = [Example(prompt, "In the attic.", id=kind) for kind, prompt in PROMPTS.items()]
    answers = respond(examples, lm, max_new_tokens=6, progress=False)
    assert [a.id for a in answers] == list(PROMPTS) and all(a.tokens for a in answers)
    assert lm.tokenizer.convert_tokens_to_ids(ENDS[family]) in stop_ids(lm)

    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in examples]
    started = {}
    settings = TrainingSettings(learning_rate=1e-2, steps=2, batch_size=3, warmup=0)
    tuned = _train_and_note(targets, lm, tmp_path / "adapter", settings, started)
    moved = {n: float((p.detach() - started[n]).abs().max()) for n, p in tuned.lm.model.named_parameters()
             if "lora_" in n}
    # B in the first step, A in the second
    assert len(moved) == 2 * 7 * 2 and all(step > 0 for step in moved.values()), moved
    pairs = [(t.prompt, t.completion) for t in targets]
    after = completion_logprobs(tuned.lm, pairs)
    base = remove_lora(tuned.lm)
    before = completion_logprobs(base, pairs)
    assert sum(map(torch.sum, after)) > sum(map(torch.sum, before))
    again = load_adapter(load_model(base.name, backend="transformers", device="cpu"), tmp_path / "adapter")
    assert all(torch.equal(a, b) for a, b in zip(completion_logprobs(again, pairs), after))


def test_no_adapter_where_a_model_sees(tmp_path):
    "Gemma 3 from 4 billion weights on has a vision tower, which no text ever moves."
    import transformers

    from ssr_nb.adapters import add_lora

    tokenizer = make_tokenizer("gemma3")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image>", "<begin>", "<end>"]})
    size = dict(hidden_size=32, intermediate_size=48, num_hidden_layers=1, num_attention_heads=2)
    text = dict(size, vocab_size=len(tokenizer), num_key_value_heads=1, head_dim=8, max_position_embeddings=256,
                eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id)
    image, begin, end = tokenizer.convert_tokens_to_ids(["<image>", "<begin>", "<end>"])
    config = transformers.Gemma3Config(text_config=text, vision_config=dict(size, image_size=28, patch_size=14),
                                       mm_tokens_per_image=4, image_token_index=image, boi_token_index=begin,
                                       eoi_token_index=end)
    transformers.Gemma3ForConditionalGeneration(config).save_pretrained(tmp_path / "model")
    tokenizer.save_pretrained(tmp_path / "model")
    lm = load_model(tmp_path / "model", backend="transformers", device="cpu")
    assert lm.context == 256
    tuned = train([Target("q", QUESTION, "attic", "gold")], lm, tmp_path / "adapter",
                  TrainingSettings(learning_rate=1e-2, steps=1, batch_size=1, warmup=0), progress=False).lm
    moved = [float(p.detach().abs().max()) for n, p in tuned.model.named_parameters() if "lora_B" in n]
    assert len(moved) == 7 and min(moved) > 0
    again = load_adapter(load_model(lm.name, backend="transformers", device="cpu"), tmp_path / "adapter")
    pairs = [(QUESTION, "attic")]
    assert torch.equal(completion_logprobs(again, pairs)[0], completion_logprobs(tuned, pairs)[0])


def _train_and_note(targets, lm, out, settings, started):
    "Train, and note the adapter's weights as they are before the first step."
    import ssr_nb.train as module

    add_lora = module.add_lora
    try:
        module.add_lora = lambda *a, **k: _noted(add_lora(*a, **k), started)
        return train(targets, lm, out, settings, progress=False)
    finally:
        module.add_lora = add_lora


def _noted(tuned, started):
    started.update({n: p.detach().clone() for n, p in tuned.model.named_parameters() if "lora_" in n})
    return tuned


def test_thoughts_of_an_answer_are_kept_apart(tmp_path, monkeypatch):
    lm = load_model(make_model("qwen3", tmp_path / "model"), backend="transformers", device="cpu", thinking=True)
    said = lm.tokenizer("<think>\nThe attic?\n</think>\n\nIn the attic.<|im_end|>",
                        add_special_tokens=False)["input_ids"]
    monkeypatch.setattr("ssr_nb.respond.generate_batch",
                        lambda lm, prompts, *a: [(said, [-0.1] * len(said), True) for _ in prompts])
    example = [Example(QUESTION, "attic", id="q")]
    answer, = respond(example, lm, tmp_path / "responses.jsonl", progress=False)
    assert (answer.response == "In the attic." and answer.extra["thinking"] == "The attic?"
            and answer.tokens == len(said))
    assert respond(example, lm, tmp_path / "responses.jsonl", progress=False) == [answer]
    kept, = respond(example, lm, keep_thinking=True, progress=False)
    assert (kept.response == "<think>\nThe attic?\n</think>\n\nIn the attic."
            and kept.extra["key"] != answer.extra["key"])
    monkeypatch.setattr("ssr_nb.respond.generate_batch",
                        lambda lm, prompts, *a: [(said[:4], [-0.1] * 4, False) for _ in prompts])
    cut, = respond(example, lm, progress=False)
    assert cut.response == "" and cut.finish_reason == "length" and dataclasses.asdict(cut)["extra"]["thinking"]


# tools, and texts that speak of thinking

TOOLS = [{"type": "function", "function": {"name": "level_of", "description": "how high a river is",
                                           "parameters": {"type": "object", "properties": {"river": {"type": "string"}}}}}]
LISTING = ("{% if tools %}[{% for tool in tools %}{{ tool['function']['name'] }}{% endfor %}]{% endif %}{% for m in messages %}"
           "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>"
           "assistant\n{% endif %}")


@pytest.mark.parametrize("before", [[], [{"role": "system", "content": "Be brief."}]])
def test_a_template_is_given_the_tools_for_answers_and_for_rows(before):
    tokenizer = prepare_tokenizer(make_tokenizer("qwen3"), "x", LISTING)
    plain = [*before, {"role": "user", "content": "How high is the Elbe?"}]
    prompt = [plain[0] | {"tools": TOOLS}, *plain[1:]]
    assert chat_text(tokenizer, prompt) == "[level_of]" + chat_text(tokenizer, plain)
    row, without = (encode(Target("q", p, "Two metres", "gold"), tokenizer) for p in (prompt, plain))
    assert tokenizer.decode(row["input_ids"]).startswith("[level_of]")
    learnt = [[label for label in r["labels"] if label != IGNORED] for r in (row, without)]
    assert learnt[0] == learnt[1], "the answer is the same, whatever was offered"


def test_tools_stay_where_the_system_turn_is_moved_and_calls_where_they_were_made():
    tokenizer = prepare_tokenizer(make_tokenizer("qwen3"), "x", "{% if messages[0]['role'] == 'system' %}{{ raise_exception("
                                  "'no system') }}{% endif %}" + LISTING)
    prompt = [{"role": "system", "content": "Be brief.", "tools": TOOLS}, {"role": "user", "content": "How high is the Elbe?"}]
    assert chat_text(tokenizer, prompt).startswith("[level_of]<|im_start|>user\nBe brief.")
    called = prepare_tokenizer(make_tokenizer("qwen3"), "x", "{% for m in messages %}{% for c in m.tool_calls or [] %}<call> {{ "
                               "c.function.arguments.river }}{% endfor %}{{ m.content }}\n{% endfor %}")
    talk = [{"role": "user", "content": "How high?"}, {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "function": {"name": "level_of", "arguments": {"river": "Elbe"}}}]}, {"role": "tool", "content": "2"}]
    assert chat_text(called, talk) == "How high?\n<call> Elbe\n2\n"


@pytest.mark.parametrize("text", ["It is the </think> tag, of course.", "<think> and </think> mark a thought.", "Write <think> first."])
@pytest.mark.parametrize("thinking", [False, True])
@pytest.mark.parametrize("family", ["qwen3", "qwen25", "llama3"])
def test_a_text_that_names_a_tag_is_trained_as_it_stands(text, thinking, family):
    cuts = "{{ m['content'].split('</think>')[-1].strip() }}"
    template = LISTING.replace("{{ m['content'] }}", cuts) if family == "qwen25" else None
    tokenizer = prepare_tokenizer(make_tokenizer(family), "x", template, thinking=thinking)
    assert text in tokenizer.decode(encode(Target("q", QUESTION, text, "gold"), tokenizer)["input_ids"])


def test_thoughts_that_are_not_learnt_are_counted(capsys):
    quiet, thinks = (prepare_tokenizer(make_tokenizer("qwen3"), "x", thinking=t) for t in (False, True))
    targets = [Target(f"q{i}", QUESTION, "<think>\nWhere?\n</think>\n\nIn the attic." if i % 2 else "In the attic.", "gold") for i in range(5)]
    encode_all(targets, thinks, 2048)
    assert capsys.readouterr().err == ""
    encode_all(targets, quiet, 2048)
    assert "2 of 5 targets begin with a thought, which isn't learnt" in capsys.readouterr().err
