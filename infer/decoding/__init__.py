"""Decoding: from windows to answers, token by token, with answer drafts from neighbouring answers."""
