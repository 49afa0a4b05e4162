"""Decoding: from windows to answers, token by token, with drafts from answers that are known."""
