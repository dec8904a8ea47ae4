"""What is read as a tree, or decoded by grouped heads, is what the model says otherwise; and a model whose code has ways of its
own is found out, and answered and read in the usual way."""

from unittest.mock import patch

import pytest
import torch
import transformers
from architectures import make_tokenizer

from ssr_nb import decoding
from ssr_nb.chat import answer_ids
from ssr_nb.decoding import decodes_fast, prefix_tree, says_the_same, tree_inputs
from ssr_nb.models import LanguageModel, load_model
from ssr_nb.records import Example
from ssr_nb.respond import completion_logprobs, iterate_logprobs, respond

SIZES = dict(hidden_size=32, num_hidden_layers=2, intermediate_size=48, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=256)
GPT = dict(n_embd=32, n_layer=2, n_head=4, n_positions=256)
AS_TOLD = {name: SIZES for name in ("GPTNeoX", "Phi", "StableLm", "Cohere", "Gemma", "Qwen2", "Qwen3", "Starcoder2", "Olmo2",
                                    "SmolLM3", "Granite", "Glm4", "Nemotron")}
AS_TOLD |= {"GPT2": GPT, "Phi3": SIZES | dict(num_key_value_heads=4), "Mistral": SIZES | dict(sliding_window=None),
            "OPT": dict(hidden_size=32, num_hidden_layers=2, ffn_dim=48, num_attention_heads=4, word_embed_proj_dim=32,
                        max_position_embeddings=256)}
OWN_WAYS = {"Falcon": dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4),
            "Falcon, ALiBi": dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True),
            "Bart": dict(d_model=32, decoder_layers=2, decoder_attention_heads=4, decoder_ffn_dim=48, is_decoder=True)}
ASKED = "Where is it? Say it in one word and no other. " * 3
PROMPTS = [ASKED + rest for rest in ("Where is the lamp of Mira?", "It is in the attic. Where is the lamp of Mira? Today", "Hi")]
TRIPLES = [(prompt, "It is in the attic.", said) for prompt, said in zip(PROMPTS, ("The lamp.", "attic", "Where is it? Who?"))]
EXAMPLES = [Example(prompt, "x", id=str(i)) for i, prompt in enumerate(PROMPTS)]


def made(name, folder, sizes):
    "A small random model of this architecture, whose weights are large enough for its attention to matter."
    kind, tokenizer = name.partition(",")[0], make_tokenizer("qwen25")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{kind}ForCausalLM" if kind != "GPT2" else "GPT2LMHeadModel")(
            getattr(transformers, f"{kind}Config")(vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id,
                                                   bos_token_id=None, eos_token_id=tokenizer.eos_token_id, **sizes))
        for weight in (p for p in model.parameters() if p.dim() >= 2 and p.std() < 0.05):
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return load_model(folder, backend="transformers", device="cpu")


def told(lm, batch_size):
    "The log-probabilities of both answers of each triple, token by token."
    found = [None] * len(TRIPLES)
    for batch, tables in iterate_logprobs(lm, TRIPLES, batch_size):
        for i, table in zip(batch, tables):
            prompt, *answers = TRIPLES[i]
            tokens = torch.tensor([token for answer in answers for token in answer_ids(lm.tokenizer, prompt, answer)])
            found[i] = table.gather(-1, tokens[:, None])[:, 0]
    return torch.cat(found)


@pytest.mark.parametrize("name", [*AS_TOLD, *OWN_WAYS])
def test_a_large_model_reads_and_writes_what_a_small_one_does(name, tmp_path, monkeypatch, capsys):
    lm = made(name, tmp_path, (AS_TOLD | OWN_WAYS)[name])
    alone = torch.cat(completion_logprobs(lm, [(prompt, answer) for prompt, *two in TRIPLES for answer in two], batch_size=1))
    said = [r.response for r in respond(EXAMPLES, lm, max_new_tokens=12, batch_size=1)]
    capsys.readouterr()
    monkeypatch.setattr(decoding, "LARGE", 1)
    assert decodes_fast(lm) == decodes_fast(lm) == (name in AS_TOLD)
    assert capsys.readouterr().err.count("in the usual way") == (name in OWN_WAYS)
    assert lm.model.config._attn_implementation == "sdpa", "the trial leaves no trace"
    for batch_size in (1, "auto"):
        torch.testing.assert_close(told(lm, batch_size), alone, atol=2e-4, rtol=0)
        assert [r.response for r in respond(EXAMPLES, lm, max_new_tokens=12, batch_size=batch_size)] == said
    assert lm.model.config._attn_implementation == ("grouped_heads" if name in AS_TOLD else "sdpa")


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def llama(request):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(vocab_size=400, initializer_range=0.3, **SIZES))
    dtype = getattr(torch, request.param)
    return LanguageModel(model.to(dtype).eval(), None, "llama", "transformers", "cpu", dtype)


def without_branches(tree):
    "A tree whose places see all that stands before them, also what is in other branches."
    places = len(tree.tokens)
    return tree_inputs(tree) | {"attention_mask": torch.ones(1, 1, places, places, dtype=torch.bool).tril()}


def numbered_through(tree):
    "A tree whose positions are counted from its first place to its last."
    return tree_inputs(tree) | {"position_ids": torch.arange(len(tree.tokens))[None]}


def unsaid(*given, **more):
    raise ValueError("too many values to unpack")


def grouped_wrongly(module, query, key, value, mask, **more):
    return query.transpose(1, 2).contiguous(), None


@pytest.mark.parametrize("what, instead", [
    ("tree_inputs", tree_inputs), ("tree_inputs", without_branches), ("tree_inputs", numbered_through), ("read_prompts", unsaid),
    ("read_together", unsaid), ("grouped_attention", grouped_wrongly),
    ("prefix_tree", lambda rows: prefix_tree(rows)._replace(paths=prefix_tree(rows).paths[::-1]))],
    ids=["nothing", "mask", "positions", "no cache", "no tree", "heads", "order"])
def test_whatever_a_model_might_do_otherwise_the_trial_finds_out(llama, what, instead):
    with patch.object(decoding, what, instead):
        assert says_the_same(llama) == (instead is tree_inputs)
    assert llama.model.config._attn_implementation == "sdpa" and not llama.model.training
    assert says_the_same(llama)


def test_one_trial_is_made_for_batches_side_by_side(tmp_path, monkeypatch):
    lm = made("Qwen2", tmp_path, SIZES)
    monkeypatch.setattr(decoding, "LARGE", 1)
    with patch.object(decoding, "says_the_same", wraps=says_the_same) as trial:
        together = respond(EXAMPLES, lm, max_new_tokens=6, batch_size=1, at_once=3)
    assert trial.call_count == 1 and [r.response for r in together] == [
        r.response for r in respond(EXAMPLES, lm, max_new_tokens=6, batch_size=1, at_once=1)]


def test_where_memory_is_short_nothing_is_held_against_a_model(llama, monkeypatch):
    monkeypatch.setattr(decoding, "LARGE", 1)

    def short(*given, **more):
        raise torch.OutOfMemoryError("out of memory")

    with patch.object(decoding, "read_together", short), pytest.raises(torch.OutOfMemoryError):
        decodes_fast(llama)
    assert llama.model.config._attn_implementation == "sdpa" and decodes_fast(llama)
