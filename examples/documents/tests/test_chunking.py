import unittest

from chunking import BadChunking, Chunking

TEXT = "First line of a paragraph that is long\nends.\nSecond paragraph, also quite long, goes on\n\n  Third.  "


class Slices(unittest.TestCase):
    def check(self, chunking, text):
        chunks = chunking.cut(7, text)
        for chunk in chunks:
            self.assertEqual(chunk["text"], text[chunk["start"]:chunk["end"]])
            self.assertEqual(chunk["text"], chunk["text"].strip())
            self.assertTrue(chunk["text"])
        self.assertEqual(len({chunk["id"] for chunk in chunks}), len(chunks))
        return [chunk["text"] for chunk in chunks]

    def test_a_page_is_one_chunk_without_the_white_space_around_it(self):
        self.assertEqual(self.check(Chunking("page"), f"\n {TEXT}\n"), [TEXT.strip()])

    def test_a_page_without_text_has_no_chunks(self):
        for kind in (Chunking("page"), Chunking("paragraph"), Chunking("fixed", 20)):
            self.assertEqual(self.check(kind, " \n\t "), [])
            self.assertEqual(self.check(kind, ""), [])

    def test_paragraphs_end_at_blank_lines_and_at_short_lines_that_end_a_sentence(self):
        self.assertEqual(self.check(Chunking("paragraph"), TEXT), [
            "First line of a paragraph that is long\nends.", "Second paragraph, also quite long, goes on", "Third.",
        ])

    def test_windows_cover_all_text_do_not_part_words_and_overlap(self):
        text = " ".join(f"word{number}" for number in range(500))
        chunks = Chunking("fixed", 100, 30).cut(1, text)
        self.assertEqual((chunks[0]["start"], chunks[-1]["end"]), (0, len(text)))
        for before, after in zip(chunks, chunks[1:]):
            self.assertLessEqual(before["end"] - before["start"], 100)
            self.assertTrue(before["end"] - 30 <= after["start"] < before["end"], (before, after))
            self.assertTrue(text[before["end"]].isspace() or text[before["end"] - 1].isspace())
        self.check(Chunking("fixed", 100, 30), text)

    def test_windows_move_on_through_text_without_white_space(self):
        text = "x" * 1000
        self.assertEqual(self.check(Chunking("fixed", 300), text), ["x" * 300] * 3 + ["x" * 100])
        self.assertEqual(Chunking("fixed", 20, 10).cut(1, text)[-1]["end"], 1000)

    def test_offsets_count_characters_also_beyond_the_basic_plane(self):
        text = "𝄞🎼 " * 40
        self.assertEqual("".join(self.check(Chunking("fixed", 20), text)).replace(" ", ""), "𝄞🎼" * 40)


class Limits(unittest.TestCase):
    def test_what_cannot_be_done_is_refused_with_what_can(self):
        for kind, size, overlap, words in [
            ("verse", 0, 0, "verse"), ("fixed", 19, 0, "20 to 20000"), ("fixed", 20_001, 0, "20 to 20000"),
            ("fixed", 100, 51, "0 to 50"), ("fixed", 100, -1, "0 to 50"),
        ]:
            with self.assertRaisesRegex(BadChunking, words):
                Chunking(kind, size, overlap)

    def test_labels_are_unambiguous(self):
        labels = {chunking.label for chunking in (
            Chunking("page"), Chunking("paragraph"), Chunking("fixed", 80, 10), Chunking("fixed", 80), Chunking("fixed", 800, 10),
        )}
        self.assertEqual(len(labels), 5)
