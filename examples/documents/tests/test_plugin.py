import base64
import unittest

import pdfs
from plugin import Plugin, raw, said


def chunks(lines):
    return [line for line in lines if line["type"] == "artifact"]


def contents(lines):
    return [line["artifact"]["parts"][0]["data"] for line in chunks(lines)]


class Runs(unittest.TestCase):
    def setUp(self):
        self.plugin = Plugin()
        self.addCleanup(lambda: self.assertEqual(self.plugin.close(), 0))

    def test_it_shakes_hands(self):
        ready = self.plugin.ready
        self.assertEqual((ready["type"], ready["protocol"], ready["name"], ready["maxInflight"]), ("ready", 1, "documents", 3))

    def test_each_page_is_a_chunk_in_order_with_progress_and_a_summary(self):
        self.plugin.start(said("by page", raw(pdfs.report(12, title="Leases"), "leases.pdf")))
        lines = self.plugin.until_end()
        self.assertEqual([content["page"] for content in contents(lines)], list(range(1, 13)))
        self.assertEqual([line["append"] for line in chunks(lines)], [False] + [True] * 11)
        self.assertEqual([line["lastChunk"] for line in chunks(lines)], [False] * 11 + [True])
        first = chunks(lines)[0]["artifact"]
        self.assertEqual((first["name"], first["metadata"]["title"]), ("leases.pdf.chunks", "Leases"))
        self.assertIn(pdfs.line(1, 20), contents(lines)[0]["chunks"][0]["text"])
        progress = [line["metadata"]["page"] for line in lines if line["type"] == "status"]
        self.assertEqual(progress, [0, 5, 10, 12])
        text, data = lines[-1]["message"]["parts"]
        total = sum(len(content["chunks"][0]["text"]) for content in contents(lines))
        self.assertEqual(text["text"], f"leases.pdf: 12 pages, 12 chunks, {total} characters.")
        self.assertEqual(data["data"]["documents"][0]["artifactId"], first["artifactId"])

    def test_output_waits_for_credit_and_a_cancel_ends_the_wait(self):
        self.plugin.start(said("by page", raw(pdfs.report(3))), credit=2)
        lines = [self.plugin.next(), self.plugin.next()]
        self.plugin.tell(type="credit", run="r1", credit=1)
        lines.append(self.plugin.next())
        self.assertEqual([line["type"] for line in lines], ["status", "artifact", "artifact"])
        self.plugin.tell(type="cancel", run="r1", reason="canceled", graceMs=5000)
        self.assertEqual(self.plugin.next(), {"run": "r1", "type": "canceled"})

    def test_it_asks_for_the_chunking_and_goes_on_with_the_file_of_the_history(self):
        content = pdfs.report(2)
        first = said("Here you are", raw(content))
        self.plugin.start(first)
        asked = self.plugin.until_end()[-1]
        self.assertEqual(asked["type"], "input-required")
        self.assertIn("schema", asked["message"]["parts"][1]["data"])
        question = {"messageId": "a1", "role": "ROLE_AGENT", "parts": asked["message"]["parts"]}
        large = {"large": {"id": "beef", "size": len(content), "kind": "raw"}, "filename": "a.pdf"}
        kept = {**first, "parts": [first["parts"][0], large]}

        unclear = said("hm?", message_id="m2")
        self.plugin.start(unclear, run="r2", turn=2, history=[kept, question, unclear])
        again = self.plugin.until_end()[-1]
        self.assertEqual(again["type"], "input-required")
        self.assertIn("does not say", again["message"]["parts"][0]["text"])

        answer = said({"data": {"chunking": "fixed", "size": 100.0}}, message_id="m3")
        self.plugin.start(answer, run="r3", turn=3, history=[kept, question, unclear, answer])

        def part(request):
            self.assertEqual((request["method"], request["params"]["id"]), ("part", "beef"))
            start = request["params"]["offset"]
            piece = content[start:start + min(request["params"]["length"], 1000)]
            return {"result": {"raw": base64.b64encode(piece).decode(), "size": len(content)}}

        lines = self.plugin.until_end(part)
        self.assertEqual(lines[-1]["type"], "completed")
        self.assertTrue(all(len(chunk["text"]) <= 100 for content in contents(lines) for chunk in content["chunks"]))

    def test_each_page_is_a_step_that_holds_its_chunk_and_what_is_to_be_counted_of_it(self):
        self.plugin.start(said("by page", raw(pdfs.make([["text"], []]))))
        lines = self.plugin.until_end()
        first, second = [line["step"] for line in chunks(lines)]
        self.assertEqual(list(self.plugin.kept), [first, second])
        self.assertEqual(self.plugin.kept[first], {"chunks": 1, "characters": 4})
        self.assertEqual(self.plugin.kept[second], {"chunks": 0, "characters": 0})
        self.assertTrue(all("step" not in line for line in lines if line["type"] == "status"))

    def test_it_goes_on_behind_the_pages_that_are_done(self):
        message = said("by paragraph", raw(pdfs.report(9)))
        self.plugin.start(message)
        whole = self.plugin.until_end()
        self.plugin.kept = dict(list(self.plugin.kept.items())[:6])
        self.plugin.start(message, run="again")
        rest = self.plugin.until_end()
        self.assertEqual(contents(rest), contents(whole)[6:])
        self.assertTrue(all(line["append"] for line in chunks(rest)))
        self.assertIn("page 6 of 9 going on behind", rest[0]["text"])
        self.assertEqual(rest[-1]["message"], whole[-1]["message"])

    def test_other_content_or_another_chunking_begins_anew(self):
        self.plugin.start(said("by page", raw(pdfs.report(2))))
        self.plugin.until_end()
        for number, message in enumerate([said("by page", raw(pdfs.report(3))), said("by paragraph", raw(pdfs.report(2)))]):
            self.plugin.start(message, run=f"other{number}")
            self.assertFalse(chunks(self.plugin.until_end())[0]["append"])

    def test_several_files_are_several_artifacts(self):
        self.plugin.start(said("by page", raw(pdfs.report(2), "a.pdf"), raw(pdfs.make([[], ["text"]]), "../b.pdf"), raw(pdfs.make([[]]), "c.pdf")))
        lines = self.plugin.until_end()
        names = [line["artifact"]["name"] for line in chunks(lines) if not line["append"]]
        self.assertEqual(names, ["a.pdf.chunks", "b.pdf.chunks", "c.pdf.chunks"])
        self.assertIn("note", contents(lines)[2])
        text = lines[-1]["message"]["parts"][0]["text"]
        self.assertIn("Without text: page 1.", text)
        self.assertIn("needs OCR", text)

    def test_a_bad_file_fails_for_good_before_there_is_output(self):
        self.plugin.start(said("by page", raw(pdfs.report(2)), raw(b"%PDF-1.4 nothing", "bad.pdf")))
        lines = self.plugin.until_end()
        self.assertEqual([line["type"] for line in lines], ["failed"])
        self.assertFalse(lines[0]["retryable"])
        self.assertRegex(lines[0]["text"], "bad.pdf .* damaged")

    def test_without_a_file_it_asks_for_one(self):
        self.plugin.start(said("by page"))
        self.assertEqual(self.plugin.until_end()[-1]["type"], "input-required")

    def test_runs_go_on_side_by_side(self):
        self.plugin.start(said("by page", raw(pdfs.report(3))), run="stuck", credit=1)
        self.assertEqual(self.plugin.next()["run"], "stuck")
        self.plugin.start(said("by page", raw(pdfs.report(1))), run="free")
        self.assertEqual({line["run"] for line in self.plugin.until_end()}, {"free"})
        self.plugin.tell(type="credit", run="stuck", credit=100)
        self.assertEqual(self.plugin.until_end()[-1]["type"], "completed")

    def test_the_end_of_input_ends_the_process_also_in_the_middle_of_work(self):
        self.plugin.start(said("by page", raw(pdfs.report(3))), credit=1)
        self.plugin.hear()
