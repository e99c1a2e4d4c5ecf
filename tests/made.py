"""Documents of other formats, made in memory: as small as they can be and still be what they are."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

from fpdf import FPDF

__all__ = ["docx", "drawn", "epub", "mail", "odt", "pdf", "zipped"]


def zipped(parts: Mapping[str, str | bytes]) -> bytes:
    """A ZIP file of named parts."""
    written = io.BytesIO()
    with zipfile.ZipFile(written, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content, zipfile.ZIP_STORED if name == "mimetype" else None)
    return written.getvalue()


def pdf(
    pages: Sequence[Sequence[str]],
    *,
    columns: int = 1,
    header: str = "",
    numbered: bool = False,
    title: str = "",
    password: str = "",
    width: float = 0,
) -> bytes:
    """A PDF: of each page its paragraphs; one that begins with "# " is a heading.

    :param columns: set in so many, each as wide as the page has room for.
    :param header: at the head of each page.
    :param numbered: with the page's number at its foot.
    :param width: in millimetres, of the text; 0 for all there is.
    """
    document = FPDF(format="A4")
    document.set_auto_page_break(False)
    if title:
        document.set_title(title)
    if password:
        document.set_encryption("owner", password)
    for number, paragraphs in enumerate(pages, 1):
        document.add_page()
        document.set_font("Times", size=9)
        if header:
            document.text(20, 10, header)
        if numbered:
            document.text(105, 290, str(number))
        each = -(-len(paragraphs) // columns)
        room = (170 - 10 * (columns - 1)) / columns
        for column in range(columns):
            left = 20 + column * (room + 10)
            document.set_xy(left, 25)
            for paragraph in paragraphs[column * each : (column + 1) * each]:
                heading = paragraph.startswith("# ")
                document.set_font("Times", "B" if heading else "", 16 if heading else 11)
                document.set_x(left)
                document.multi_cell(
                    width or room, 8 if heading else 5, paragraph.removeprefix("# "), align="L" if heading else "J"
                )
                document.set_xy(left, document.get_y() + 4)
    return bytes(document.output())


def drawn(
    pages: Sequence[Sequence[tuple[float, float, float, str]]], *, sideways: Sequence[tuple[float, float, float, str]] = ()
) -> bytes:
    """A PDF: of each page what stands where, as points from the left and from the top, the size of the letters, the text.

    :param sideways: on each page, upwards from its place.
    """
    document = FPDF(format="A4", unit="pt")
    document.set_auto_page_break(False)
    for page in pages:
        document.add_page()
        for left, top, size, text in page:
            document.set_font("Helvetica", size=size)
            document.text(left, top, text)
        for left, top, size, text in sideways:
            document.set_font("Helvetica", size=size)
            with document.rotation(90, left, top):
                document.text(left, top, text)
    return bytes(document.output())


_WORD = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_DRAWN = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_MAIN = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
_DECLARED = '<Override PartName="/word/document.xml" ContentType="{}"/>'
_PACKAGE = "http://schemas.openxmlformats.org/package/2006"


def docx(body: str, *, core: str = "") -> bytes:
    """A DOCX file.

    :param body: paragraphs in WordprocessingML, or lines of text: "# " for a heading.
    """
    if not body.startswith("<w:"):
        body = "".join(_word_paragraph(line) for line in body.splitlines() if line)
    types = "".join(
        f'<Default Extension="{suffix}" ContentType="{kind}"/>'
        for suffix, kind in (("xml", "application/xml"), ("rels", "application/vnd.openxmlformats-package.relationships+xml"))
    )
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{style}"><w:name w:val="{name}"/></w:style>'
        for style, name in (("H1", "heading 1"), ("T", "Title"))
    )
    return zipped(
        {
            "[Content_Types].xml": f'<Types xmlns="{_PACKAGE}/content-types">{types}{_DECLARED.format(_MAIN)}</Types>',
            "_rels/.rels": _related("word/document.xml", "officeDocument"),
            "word/_rels/document.xml.rels": _related("styles.xml", "styles"),
            "word/document.xml": f"<w:document {_WORD}><w:body>{body}</w:body></w:document>",
            "word/styles.xml": f"<w:styles {_WORD}>{styles}</w:styles>",
            **({"docProps/core.xml": core} if core else {}),
        }
    )


def _related(target: str, kind: str) -> str:
    return (
        f'<Relationships xmlns="{_PACKAGE}/relationships"><Relationship Id="r1" Target="{target}" Type="{_DRAWN}/{kind}"/>'
        "</Relationships>"
    )


def _word_paragraph(line: str) -> str:
    style = "T" if line.startswith("! ") else "H1" if line.startswith("# ") else ""
    said = line[2:] if style else line
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{said}</w:t></w:r></w:p>"


def epub(chapters: Sequence[str], *, title: str = "The Book", extra: Mapping[str, str] | None = None) -> bytes:
    """An EPUB book of chapters, each the body of a page."""
    items = "".join(
        f'<item id="c{n}" href="text/c%20{n}.xhtml" media-type="application/xhtml+xml"/>' for n in range(len(chapters))
    )
    spine = "".join(f'<itemref idref="c{n}"/>' for n in range(len(chapters)))
    pages = {
        f"OEBPS/text/c {n}.xhtml": f'<?xml version="1.0"?><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head>'
        f"<body>{chapter}</body></html>"
        for n, chapter in enumerate(chapters)
    }
    return zipped(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><metadata xmlns:dc="http://purl.org/dc/elements/1.1/">'
            f"<dc:title>{title}</dc:title><dc:creator>Ann Author</dc:creator><dc:language>en</dc:language>"
            f"<dc:date>2011-05-06</dc:date></metadata><manifest>{items}</manifest><spine>{spine}</spine></package>",
            **pages,
            **(extra or {}),
        }
    )


def odt(body: str, *, manifest: str = "") -> bytes:
    """An ODT file of text:h and text:p elements."""
    names = " ".join(
        f'xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text", "table", "style", "meta")
    )
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{path}" manifest:media-type="text/xml"/>'
        for path in ("content.xml", "meta.xml", "styles.xml")
    )
    return zipped(
        {
            "mimetype": "application/vnd.oasis.opendocument.text",
            "META-INF/manifest.xml": '<manifest:manifest xmlns:manifest="urn:oasis:names:tc:opendocument:xmlns:manifest:1.0">'
            '<manifest:file-entry manifest:full-path="/" manifest:media-type="application/vnd.oasis.opendocument.text"/>'
            f"{entries}{manifest}</manifest:manifest>",
            "content.xml": f"<office:document-content {names}><office:body><office:text>{body}</office:text></office:body>"
            "</office:document-content>",
            "styles.xml": f"<office:document-styles {names}/>",
            "meta.xml": f'<office:document-meta {names} xmlns:dc="http://purl.org/dc/elements/1.1/"><office:meta>'
            "<dc:title>The Report</dc:title><dc:creator>Ann Author</dc:creator><dc:date>2012-03-04T10:00:00</dc:date>"
            "</office:meta></office:document-meta>",
        }
    )


def mail(text: str = "", *, html: str = "", subject: str = "Minutes", attached: Sequence[str] = ()) -> EmailMessage:
    """A message."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Zoë <zoe@example.org>"
    message["To"] = "all@example.org"
    message["Date"] = "Mon, 02 Mar 2020 10:00:00 +0100"
    if text:
        message.set_content(text)
    if html and text:
        message.add_alternative(html, subtype="html")
    elif html:
        message.set_content(html, subtype="html")
    for name in attached:
        message.add_attachment(b"%PDF-1.4", maintype="application", subtype="pdf", filename=name)
    return message
