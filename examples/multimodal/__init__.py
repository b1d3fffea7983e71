"""A multimodal pipeline from files to a trained and applied model, on CPUs and GPUs at once.

`python -m examples.multimodal` runs it:

    clips, covers, captions, figures -> decode, sample, resize, tokenise (CPUs) -> normalise, embed (CPUs and GPUs)
      -> a late-fusion head trained by Ray Train from the stream -> inference on unseen clips -> evaluation -> page

    settings    sizes of the model and of the batches
    stages      the stages' functions, and the specs by which placement decides
    fusion      the head, and the loop of the Train worker
    pipeline    the datasets, the training, the inference
    results     tables and the page
"""
