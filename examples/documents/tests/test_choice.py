import unittest

import choice
from chunking import BadChunking, Chunking


def said(text=None, data=None, metadata=None):
    parts = [{"text": text}] if text is not None else []
    parts += [{"data": data}] if data is not None else []
    return {"role": "ROLE_USER", "parts": parts, **({"metadata": metadata} if metadata else {})}


class Words(unittest.TestCase):
    def test_plain_words_name_a_chunking(self):
        for text, kind in [
            ("by page", Chunking("page")), ("Split this report per page, please", Chunking("page")), ("Pages", Chunking("page")),
            ("page please", Chunking("page")), ("by paragraph", Chunking("paragraph")), ("Paragraphs.", Chunking("paragraph")),
            ("fixed 500", Chunking("fixed", 500)), ("fixed 500/50", Chunking("fixed", 500, 50)),
            ("Fixed size of 500 with an overlap of 50", Chunking("fixed", 500, 50)),
            ("fixed 500, 50 characters overlap", Chunking("fixed", 500, 50)), ("fixed", Chunking("fixed", 1000)),
            ("fixed 800 overlap 100", Chunking("fixed", 800, 100)), ("fixed 800 with 100 characters of overlap", Chunking("fixed", 800, 100)),
            ("fixed overlap 100", Chunking("fixed", 1000, 100)), ("cut it every 300 characters", Chunking("fixed", 300)),
            ("https://host/fixed/9 by page", Chunking("page")),
        ]:
            self.assertEqual(choice.from_text(text), kind, text)

    def test_other_words_name_none(self):
        for text in ["", "Hello", "What is on page 3?", "the first paragraph is wrong", "https://host/by/page-fixed.pdf", "prefixed 9"]:
            self.assertIsNone(choice.from_text(text), text)

    def test_several_chunkings_and_impossible_ones_are_refused(self):
        for text in ["by page or by paragraph", "fixed 500 by page", "fixed 5", "fixed 99999999999999999999", "fixed 100 overlap 90"]:
            with self.assertRaises(BadChunking, msg=text):
                choice.from_text(text)


class Data(unittest.TestCase):
    def test_data_and_metadata_name_a_chunking(self):
        wanted = {"chunking": "fixed", "size": 800.0, "overlap": 100}
        for messages, metadata in [
            ([said("Go", data=wanted)], {}), ([said("Go", metadata=wanted)], {}), ([said("Go")], wanted),
        ]:
            self.assertEqual(choice.find_chunking(messages, metadata), Chunking("fixed", 800, 100))

    def test_values_of_a_wrong_type_are_refused(self):
        for bad in [{"chunking": 7}, {"chunking": "fixed", "size": "big"}, {"chunking": "fixed", "size": True},
                    {"chunking": "fixed", "size": 80.5}, {"chunking": "fixed", "size": float("inf")}, {"chunking": ""}]:
            with self.assertRaises(BadChunking, msg=bad):
                choice.from_data(bad)

    def test_the_newest_message_that_says_something_decides(self):
        self.assertEqual(choice.find_chunking([said("by page"), said("by paragraph"), said("here")], {}), Chunking("paragraph"))
        self.assertIsNone(choice.find_chunking([said("hello"), said(data={"other": 1}), said(data=[1])], {}))

    def test_the_question_lists_the_choices_and_carries_a_schema(self):
        end = choice.question("Sorry.")
        text, data = end["message"]["parts"]
        for word in ("Sorry.", "by page", "by paragraph", "fixed 800"):
            self.assertIn(word, text["text"])
        for example in data["data"]["examples"]:
            choice.from_data(example)
        self.assertEqual(data["data"]["schema"]["properties"]["chunking"]["enum"], ["page", "paragraph", "fixed"])
