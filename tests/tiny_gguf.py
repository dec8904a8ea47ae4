"""A GGUF file of a random two-layer Llama with a byte-level vocabulary, written on the spot: for tests that need
the format, not a good model."""
from pathlib import Path
from typing import Any

import numpy as np

TEMPLATE = ("{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
            "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}")
MARKS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|fim|>"]
HIDDEN, INNER, HEADS, LAYERS = 32, 64, 4, 2


def byte_tokens() -> list[str]:
    "The 256 letters by which byte-level BPE writes bytes."
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    return [chr(b) for b in printable] + [chr(256 + i) for i in range(256 - len(printable))]


def write_tensors(writer: Any, words: int, tied: bool, seed: int) -> None:
    random = np.random.default_rng(seed)

    def add(name: str, *shape: int) -> None:
        values = random.normal(0, 0.2, shape) if len(shape) > 1 else np.ones(shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", words, HIDDEN)
    for layer in range(LAYERS):
        for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{name}.weight", HIDDEN, HIDDEN)
        for name, shape in {"ffn_gate": (INNER, HIDDEN), "ffn_up": (INNER, HIDDEN), "ffn_down": (HIDDEN, INNER)}.items():
            add(f"blk.{layer}.{name}.weight", *shape)
        add(f"blk.{layer}.attn_norm.weight", HIDDEN)
        add(f"blk.{layer}.ffn_norm.weight", HIDDEN)
    add("output_norm.weight", HIDDEN)
    if not tied:
        add("output.weight", words, HIDDEN)


def make_tiny_gguf(path: Path, template: str | None = TEMPLATE, tied: bool = True, seed: int = 0, eos: int | None = 2,
                   pad: int | None = None, eot: int | None = None, bos: int | None = 1, extra_rows: int = 0,
                   parts: int | None = None) -> Path:
    """Write the file. `extra_rows` of the embedding have no token (fewer rows than tokens where it is negative);
    a file that is one of `parts` says so."""
    from gguf import GGUFWriter

    tokens = MARKS + byte_tokens() + ["he", "ll"]
    writer = GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(128)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(len(tokens) + extra_rows)
    writer.add_tokenizer_model("gpt2")
    writer.add_token_list(tokens)
    writer.add_token_types([3] * len(MARKS) + [1] * (len(tokens) - len(MARKS)))
    writer.add_token_merges(["h e", "l l"])
    writer.add_unk_token_id(0)
    for add, number in ((writer.add_bos_token_id, bos), (writer.add_eos_token_id, eos), (writer.add_eot_token_id, eot),
                        (writer.add_pad_token_id, pad), (writer.add_chat_template, template)):
        if number is not None:
            add(number)
    if parts:
        writer.add_uint16("split.count", parts)
    write_tensors(writer, len(tokens) + extra_rows, tied, seed)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return Path(path)
