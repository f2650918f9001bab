"""A quiz: which of these were drawn by a person?"""
