"""PDFs with known text, made for tests."""

import io

import pypdf
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas


def make(pages, title=None, author=None, compress=True):
    """A PDF with these pages, each a list of lines."""
    file = io.BytesIO()
    pdf = canvas.Canvas(file, pagesize=A4, pageCompression=int(compress), invariant=1)
    if title:
        pdf.setTitle(title)
    if author:
        pdf.setAuthor(author)
    for lines in pages:
        text = pdf.beginText(50, 800)
        text.setFont("Helvetica", 9)
        for line in lines:
            text.textLine(line)
        pdf.drawText(text)
        pdf.showPage()
    pdf.save()
    return file.getvalue()


def line(page, number):
    return f"Page {page} line {number}: the lease of worker {page * 100 + number} is kept by its heartbeat alone."


def report(pages, lines=20, **options):
    """A report with so many pages, each of whose lines names its page and number."""
    return make([[line(page, number) for number in range(1, lines + 1)] for page in range(1, pages + 1)], **options)


def encrypted(password):
    writer = pypdf.PdfWriter(clone_from=io.BytesIO(report(2)))
    writer.encrypt(user_password=password, owner_password="owner", algorithm="RC4-128")
    file = io.BytesIO()
    writer.write(file)
    return file.getvalue()


def without_pages():
    file = io.BytesIO()
    pypdf.PdfWriter().write(file)
    return file.getvalue()
