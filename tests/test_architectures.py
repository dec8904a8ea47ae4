"""Small random models of the architectures that people fine-tune: each answers in a batch as alone, trains by cross-entropy
alone, is saved, loaded, merged and compared with its base."""

from unittest.mock import patch

import pytest
import torch
from architectures import make_tokenizer

from ssr_nb.adapters import add_lora, load_adapter, remove_lora, save_adapter, scale_adapter, untouched
from ssr_nb.architectures import bypassed, one_by_one, padding_changes
from ssr_nb.chat import answer_ids
from ssr_nb.decoding import decodes_fast, read_together
from ssr_nb.evaluate import BaseStates, Suite, evaluate, gold_nats, kl_nats, read_as_base, read_both
from ssr_nb.machine import ModelError
from ssr_nb.models import fingerprint, load_model
from ssr_nb.publish import save_merged
from ssr_nb.records import Example, Target
from ssr_nb.respond import completion_logprobs, iterate_logprobs, respond
from ssr_nb.settings import TrainingSettings
from ssr_nb.train import train

SIZES = dict(hidden_size=32, num_hidden_layers=2)
ATTENTION = SIZES | dict(intermediate_size=48, num_attention_heads=4, num_key_value_heads=2, head_dim=8,
                         max_position_embeddings=256, initializer_range=0.1)
ROUTED = ATTENTION | dict(num_experts_per_tok=2, output_router_logits=True, router_aux_loss_coef=0.5)
SMALL = ROUTED | dict(num_experts=4, moe_intermediate_size=16)
STATES = dict(mamba_n_heads=8, mamba_d_head=8, mamba_n_groups=1, mamba_d_state=8)
CONFIGURATIONS = {
    "Llama": ATTENTION,
    "Gemma3": ATTENTION,
    "Gemma3n": ATTENTION | dict(layer_types=["sliding_attention", "full_attention"], hidden_size_per_layer_input=8,
                                num_kv_shared_layers=0, altup_num_inputs=2, laurel_rank=4,
                                activation_sparsity_pattern=[0.0, 0.0]),
    "Mixtral": ROUTED | dict(num_local_experts=4),
    "Qwen2Moe": SMALL | dict(shared_expert_intermediate_size=16),
    "Qwen3Moe": SMALL,
    "Qwen3Next": SMALL | dict(shared_expert_intermediate_size=16, linear_num_value_heads=4, linear_num_key_heads=2,
                              linear_key_head_dim=8, linear_value_head_dim=8,
                              layer_types=["linear_attention", "full_attention"]),
    "Olmoe": ROUTED | dict(num_experts=4),
    "GptOss": ROUTED | dict(num_local_experts=4, sliding_window=32,
                            layer_types=["sliding_attention", "full_attention"]),
    "DeepseekV3": ATTENTION | dict(n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                                   n_shared_experts=1, n_group=1, topk_group=1, q_lora_rank=8, kv_lora_rank=8,
                                   qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8, first_k_dense_replace=1,
                                   num_key_value_heads=4),
    "GraniteMoeHybrid": ROUTED | STATES | dict(num_local_experts=4, shared_intermediate_size=16, mamba_expand=2,
                                               layer_types=["mamba", "attention"]),
    "Jamba": ROUTED | dict(num_experts=4, attn_layer_period=2, attn_layer_offset=1, expert_layer_period=2,
                           expert_layer_offset=1, mamba_d_state=8, mamba_dt_rank=4, use_mamba_kernels=False),
    "Mamba": SIZES | dict(state_size=8),
    "Mamba2": SIZES | dict(state_size=8, num_heads=8, head_dim=8, n_groups=1),
    "FalconMamba": SIZES | dict(state_size=8),
    "FalconH1": ATTENTION | STATES | dict(mamba_d_ssm=64),
    "NemotronH": ATTENTION | dict(layers_block_type=["mamba", "attention", "moe", "mlp"], num_hidden_layers=4,
                                  mamba_num_heads=8, mamba_head_dim=8, n_groups=1, ssm_state_size=8,
                                  n_routed_experts=4, num_experts_per_tok=2, moe_intermediate_size=16,
                                  moe_shared_expert_intermediate_size=16),
    "Bamba": ATTENTION | STATES | dict(attn_layer_indices=[1]),
    "Zamba2": ATTENTION | dict(num_hidden_layers=3, mamba_d_state=8, n_mamba_heads=8, mamba_headdim=8, mamba_ngroups=1,
                               hybrid_layer_ids=[1], num_mem_blocks=1, use_mem_rope=True,
                               layers_block_type=["mamba", "hybrid", "mamba"]),
    "Lfm2": ATTENTION | dict(layer_types=["conv", "full_attention"], block_multiple_of=8),
    "Lfm2Moe": SMALL | dict(layer_types=["conv", "full_attention"], num_dense_layers=1),
    "Rwkv": SIZES | dict(attention_hidden_size=32, context_length=256),
    "xLSTM": SIZES | dict(hidden_size=64, num_heads=4, chunk_size=16, qk_dim_factor=1.0),
    "RecurrentGemma": ATTENTION | dict(num_hidden_layers=3, lru_width=32, attention_window_size=64,
                                       block_types=["recurrent", "recurrent", "attention"]),
}
ALONE = {"Rwkv", "xLSTM", "RecurrentGemma"}  # what stands beside a prompt changes their answers
LEFT_OUT = {  # what LoRA can't take, of which training must say so
    "Mamba": {"mixer.x_proj", "mixer.dt_proj", "mixer.out_proj"}, "Mamba2": {"mixer.out_proj"},
    "FalconMamba": {"mixer.x_proj", "mixer.dt_proj", "mixer.out_proj"}, "FalconH1": {"mamba.out_proj"},
    "NemotronH": {"mixer.out_proj"}, "Bamba": {"mamba.out_proj"}, "GraniteMoeHybrid": {"mamba.out_proj"},
    "Zamba2": {"mamba.out_proj"}, "Jamba": {"mamba.dt_proj"}, "GptOss": {"experts.gate_up_proj", "experts.down_proj"},
}
PROMPTS = ["Where is the lamp of Mira?", "Answer in one word. Where is the lamp of Mira? It is in the attic. Today Date: 26",
           "Hi"]
EXAMPLES = [Example(prompt, "It is in the attic.", id=str(i)) for i, prompt in enumerate(PROMPTS)]
PAIRS = [(e.prompt, e.completion) for e in EXAMPLES]


@pytest.fixture(scope="module", params=CONFIGURATIONS)
def folder(request, tmp_path_factory):
    import transformers

    text = "TextConfig" if request.param in ("Gemma3", "Gemma3n") else "Config"
    if not hasattr(transformers, f"{request.param}{text}"):
        pytest.skip(f"{request.param} is not in Transformers {transformers.__version__}")
    tokenizer, place = make_tokenizer("qwen25"), tmp_path_factory.mktemp("models") / request.param
    extra = {"vocab_size_per_layer_input": len(tokenizer)} if request.param == "Gemma3n" else {}
    config = getattr(transformers, f"{request.param}{text}")(
        vocab_size=len(tokenizer), pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        eos_token_id=tokenizer.eos_token_id, **CONFIGURATIONS[request.param], **extra)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = getattr(transformers, f"{request.param}ForCausalLM")(config)
        for weight in (p for p in model.parameters() if p.dim() >= 2 and p.std() < 0.05):
            torch.nn.init.normal_(weight, std=0.1)
    model.save_pretrained(place)
    tokenizer.save_pretrained(place)
    return place


@pytest.fixture
def lm(folder):
    return load_model(folder, backend="transformers", device="cpu")


def logprobs(lm, batch_size=1):
    return torch.cat(completion_logprobs(lm, PAIRS, batch_size=batch_size))


def test_a_batch_is_answered_as_each_prompt_alone(lm, folder):
    assert one_by_one(lm.model, lm.tokenizer) == (folder.name in ALONE)
    together, apart = ([r.response for r in respond(EXAMPLES, lm, max_new_tokens=8, batch_size=n)] for n in (3, 1))
    assert together == apart
    torch.testing.assert_close(logprobs(lm, 3), logprobs(lm), atol=1e-4, rtol=0)


TRIPLES = [(prompt, "It is in the attic.", said) for prompt, said in zip(PROMPTS, ("The lamp.", "attic", "Where is it? Who?"))]


@pytest.mark.parametrize("large", [False, True])
def test_several_answers_to_a_prompt_are_read_as_each_alone(lm, monkeypatch, large):
    "As a large model on a CPU they are read in one pass, where the architecture allows it; the prompts begin alike or not."
    if large:
        monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    before = lm.model.config.get_text_config()._attn_implementation
    for triples in (TRIPLES, [("Where is it? Say it in one word and no other. " * 3 + p, *answers) for p, *answers in TRIPLES]):
        alone = [torch.cat(completion_logprobs(lm, [(p, a), (p, b)], batch_size=1)) for p, a, b in triples]
        for batch_size in (1, "auto"):
            for batch, tables in iterate_logprobs(lm, triples, batch_size):
                for i, table in zip(batch, tables):
                    prompt, *answers = triples[i]
                    tokens = torch.tensor([token for a in answers for token in answer_ids(lm.tokenizer, prompt, a)])
                    torch.testing.assert_close(table.gather(-1, tokens[:, None])[:, 0], alone[i], atol=1e-4, rtol=0)
    lm.model.config.get_text_config()._attn_implementation = before


def test_which_architectures_read_several_answers_in_one_pass(lm, folder, monkeypatch):
    monkeypatch.setattr("ssr_nb.decoding.LARGE", 1)
    assert decodes_fast(lm) == (folder.name in {"Llama", "Mixtral", "Qwen2Moe", "Qwen3Moe", "Olmoe", "DeepseekV3"})
    with patch("ssr_nb.respond.read_together", wraps=read_together) as reading:
        assert len(read_both(lm, EXAMPLES, ["It is here."] * 3)) == 3
    assert reading.called == decodes_fast(lm)


def evaluated_both_ways(lm):
    "Evaluations of the base model and of a tuned one: as a small model's, all written, and as a large one's, read first."
    suites = [Suite("target", EXAMPLES, "contains"), Suite("general", EXAMPLES[:2], "contains", "more", max_new_tokens=3)]
    found = {}
    for large in (10**12, 1):
        with patch("ssr_nb.decoding.LARGE", large):
            before = lm.model.config.get_text_config()._attn_implementation
            base = evaluate(lm, suites, max_new_tokens=8, progress=False, base=(states := BaseStates()))
            tuned = add_lora(lm, r=4)
            with torch.no_grad():
                for name, weight in tuned.model.named_parameters():
                    if "lora_B" in name:
                        weight.normal_(std=0.05, generator=torch.Generator().manual_seed(1))
            with patch("ssr_nb.evaluate.read_as_base", wraps=read_as_base) as reading:
                scores = evaluate(tuned, suites, method="sft", base_scores=base, max_new_tokens=8, progress=False, base=states)
            if decodes_fast(lm) and all(score.response for score in base):
                assert reading.called != states.suffices, "what the base model's evaluation kept isn't read again"
            found[large] = base + scores
            remove_lora(tuned)
            lm.model.config.get_text_config()._attn_implementation = before
    return zip(*found.values())


def check_same_evaluation(lm):
    for written, told in evaluated_both_ways(lm):
        assert (written.response, written.score, written.extra["finish_reason"]) == (told.response, told.score, told.extra["finish_reason"])
        measured = {name for name in written.extra if name.endswith(("nats", "tokens"))}
        assert measured == {name for name in told.extra if name.endswith(("nats", "tokens"))} >= {"gold_nats", "gold_tokens"}
        for name in measured:
            assert written.extra[name] == pytest.approx(told.extra[name], abs=1e-3)


def test_an_evaluation_is_the_same_whether_answers_are_read_or_written(small_llama):
    check_same_evaluation(load_model(small_llama, "transformers", "cpu"))


@pytest.mark.long
def test_so_it_is_with_every_architecture(lm):
    check_same_evaluation(lm)


@pytest.mark.long
def test_it_trains_by_cross_entropy_alone_is_saved_loaded_and_merged(lm, folder, tmp_path):
    before, base = fingerprint(lm), logprobs(lm)
    targets = [Target(e.id, e.prompt, e.completion, "gold") for e in EXAMPLES]
    trained = train(targets, lm, tmp_path / "adapter", TrainingSettings(steps=2, batch_size=3, learning_rate=1e-2, warmup=0.0))
    assert trained.losses[0] == pytest.approx(float(-base.mean()), abs=1e-3)  # nothing but cross-entropy
    tuned = logprobs(trained.lm)
    assert float(-tuned.mean()) < trained.losses[0] - 0.05
    moved = kl_nats(trained.lm, EXAMPLES, [e.completion for e in EXAMPLES])
    assert sum(nats for nats, _ in moved) > 0
    for large in (10**12, 1):  # as a small model, and as a large one, which may read several answers in one pass
        states = BaseStates()  # whether the logits are the output layer's alone, or are scaled or capped after it
        with (patch("ssr_nb.evaluate.read_as_base", wraps=read_as_base) as reading, patch("ssr_nb.decoding.LARGE", large)):
            for again in (False, True):
                reading.reset_mock()
                kept = kl_nats(trained.lm, EXAMPLES, [e.completion for e in EXAMPLES], states)
                assert all(abs(a - b) < 1e-4 for (a, _), (b, _) in zip(kept, moved))
                assert reading.called == (not again or not states.suffices), "what is kept isn't read again"
            both = read_both(trained.lm, EXAMPLES, [e.completion for e in EXAMPLES], states)
            assert all(abs(r.kl[0] - a) < 1e-4 and r.kl[1] == n and r.gold[0] == pytest.approx(b, abs=1e-3)
                       for r, (a, n), (b, _) in zip(both, moved, gold_nats(trained.lm, EXAMPLES)))
    lm = remove_lora(trained.lm)
    assert fingerprint(lm) == before
    again = load_adapter(lm, tmp_path / "adapter")
    torch.testing.assert_close(logprobs(again), tuned, atol=1e-4, rtol=0)
    merged = load_model(save_merged(tmp_path / "adapter", tmp_path / "merged", "float32", folder), "transformers", "cpu")
    torch.testing.assert_close(logprobs(merged), tuned, atol=1e-3, rtol=0)


def test_half_an_adapter_is_half_an_adapter_after_saving(lm, tmp_path):
    tuned = add_lora(lm, r=4)
    with torch.no_grad():
        for name, weight in tuned.model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    whole = logprobs(tuned)
    half = logprobs(scale_adapter(scale_adapter(tuned, 0), 0.5))
    save_adapter(tuned, tmp_path / "half")
    torch.testing.assert_close(logprobs(scale_adapter(tuned, 1)), whole, atol=1e-4, rtol=0)
    again = load_adapter(remove_lora(tuned), tmp_path / "half")
    torch.testing.assert_close(logprobs(again), half, atol=1e-4, rtol=0)
    remove_lora(again)


def test_what_lora_cannot_take_is_named_before_anything_is_answered(lm, folder):
    before, line = fingerprint(lm), untouched(lm)
    for name in LEFT_OUT.get(folder.name, ()):
        assert name in line
    if folder.name in ("Llama", "Gemma3", "Rwkv", "Lfm2", "Mixtral"):
        assert line == "" and not bypassed(lm.model)
    assert fingerprint(lm) == before


@pytest.mark.parametrize("folder", ["Mixtral"], indirect=True)
def test_a_model_that_takes_no_adapter_is_given_back_whole(lm):
    before = fingerprint(lm)
    with pytest.raises(ModelError, match="dropout"):  # PEFT can't, on experts
        untouched(lm, dropout=0.1)
    assert fingerprint(lm) == before and untouched(lm) == ""


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("folder", ["Llama", "Mixtral", "Mamba", "FalconH1"], indirect=True)
def test_rounding_is_not_taken_for_a_change(folder, dtype):
    lm = load_model(folder, backend="transformers", device="cpu", dtype=dtype)
    assert not padding_changes(lm.model, ([5, 6], list(range(7, 60))), lm.tokenizer.pad_token_id)
