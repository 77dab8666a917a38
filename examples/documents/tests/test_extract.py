import unittest

import pdfs
from extract import Document, Unusable, clean


class Reading(unittest.TestCase):
    def test_text_title_and_author_come_out(self):
        document = Document("a.pdf", pdfs.report(12, lines=3, title="Leases", author="A. Writer"))
        self.assertEqual((document.pages, document.facts()), (12, {"title": "Leases", "author": "A. Writer"}))
        for page in (1, 7, 12):
            expected = [pdfs.line(page, number) for number in (1, 2, 3)]
            self.assertEqual(document.text(page).splitlines(), expected)

    def test_a_page_without_text_is_empty(self):
        self.assertEqual(Document("a.pdf", pdfs.make([["one"], []])).text(2), "")

    def test_an_empty_password_opens(self):
        self.assertIn("Page 1 line 1", Document("a.pdf", pdfs.encrypted("")).text(1))

    def test_text_is_fit_for_json_and_databases(self):
        self.assertEqual(clean("a\0b\ud800c\r\nd\ud834\udd1e\fe"), "ab\ufffdc\nd𝄞\ne")


class Unusables(unittest.TestCase):
    def refused(self, content, words):
        with self.assertRaisesRegex(Unusable, words):
            document = Document("a.pdf", content)
            for page in range(1, document.pages + 1):
                document.text(page)

    def test_each_kind_of_bad_file_says_what_to_do(self):
        good = pdfs.report(3)
        self.refused(b"", "is empty")
        self.refused(b"PK\x03\x04 something else", "is not a PDF")
        self.refused(b"%PDF-1.7\n" + b"garbage " * 100, "damaged")
        self.refused(good[: len(good) // 3], "damaged")
        self.refused(pdfs.encrypted("secret"), "protected by a password")
        self.refused(pdfs.without_pages(), "no pages")

    def test_no_damage_makes_anything_else(self):
        good = bytearray(pdfs.report(2, lines=4))
        for at in range(0, len(good), 23):
            bad = bytes(good[:at]) + b"\xff\x00<<(" + bytes(good[at + 5:])
            try:
                document = Document("a.pdf", bad)
                document.facts()
                for page in range(1, document.pages + 1):
                    document.text(page)
            except Unusable:
                pass
