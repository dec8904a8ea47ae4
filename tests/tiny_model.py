"""A random Llama of a few thousand weights with a word-level tokenizer, made in a moment:
for tests that need a model, not a good one."""
from pathlib import Path

import torch

WORDS = [f"{a}{b}" for a in "bdfgklmnprst" for b in ("a", "e", "i", "o", "u", "an", "el", "ir")]
TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'assistant' %} <assistant> {% generation "
    "%}{{ message['content'] }} {{ eos_token }}{% endgeneration %}{% else %} <user> {{ message['content'] }}{% endif %}"
    "{% endfor %}{% if add_generation_prompt %} <assistant>{% endif %}"
)


def tiny_tokenizer(template: str | None = TEMPLATE):
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = ["<pad>", "<bos>", "<user>", "<assistant>", "<eos>", "<unk>", *WORDS]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<bos>", eos_token="<eos>",
                                   unk_token="<unk>", additional_special_tokens=["<user>", "<assistant>"])
    fast.chat_template = template
    return fast


def make_tiny_model(folder: Path, seed: int = 0, template: str | None = TEMPLATE, context: int = 96) -> Path:
    """Write the model to a folder. Its answers are of very different lengths:
    the end token is likelier than the rest, not certain."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = tiny_tokenizer(template)
    config = LlamaConfig(vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, intermediate_size=64, max_position_embeddings=context,
                         attention_bias=True, tie_word_embeddings=False,
                         bos_token_id=1, eos_token_id=4, pad_token_id=0, initializer_range=0.3)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[4] *= 1.8  # chosen now and then
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return Path(folder)
