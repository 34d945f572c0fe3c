// SPDX-License-Identifier: LGPL-2.1-or-later
// Put into a copy of a page by test_page.sh: what the browser made of it, a line for each text and
// shape that is drawn, for the test to compare. Texts of a drawing that cover each other are told.
function overlaps(a, b) {
    return a.left < b.right - 0.5 && b.left < a.right - 0.5 &&
        a.top < b.bottom - 0.5 && b.top < a.bottom - 0.5;
}
function probe() {
    const out = [`page ${document.documentElement.scrollWidth} ${innerWidth}`];
    for (const svg of document.querySelectorAll("svg")) {
        const box = svg.getBoundingClientRect(), texts = [...svg.querySelectorAll("text")];
        out.push(`svg ${svg.getAttribute("aria-label")} ${box.width.toFixed()} ${box.height.toFixed()}`);
        for (const e of svg.querySelectorAll("rect, text, polyline, line")) {
            const b = e.getBoundingClientRect();
            if (b.left < box.left - 1 || b.right > box.right + 1 || b.top < box.top - 1 ||
                b.bottom > box.bottom + 1)
                out.push(`outside ${e.tagName} ${e.textContent}`);
        }
        for (let i = 0; i < texts.length; i++)
            for (let j = 0; j < i; j++)
                if (overlaps(texts[i].getBoundingClientRect(), texts[j].getBoundingClientRect()))
                    out.push(`covered ${texts[i].textContent} by ${texts[j].textContent}`);
        for (const e of svg.querySelectorAll("rect")) {
            for (const t of texts)
                if (overlaps(e.getBoundingClientRect(), t.getBoundingClientRect()))
                    out.push(`covered ${t.textContent} by a ${e.getAttribute("class")}`);
            if (getComputedStyle(e).fill === "rgb(0, 0, 0)")
                out.push(`black ${e.getAttribute("class")}`);
        }
    }
    for (const e of document.querySelectorAll("h1, h2, h3"))
        out.push(`heading ${e.textContent}`);
    for (const e of document.querySelectorAll("td, th, dd, dt")) {
        const b = e.getBoundingClientRect();
        if (!b.height || b.right > innerWidth)
            out.push(`outside ${e.tagName} ${e.textContent}`);
        if (e.tagName === "TH" && e.closest(".list") && b.height > 40)
            out.push(`broken ${e.textContent}`);
    }
    const pre = document.createElement("pre");
    pre.id = "probe";
    pre.textContent = "\n" + out.join("\n") + "\n";
    document.body.replaceChildren(pre);
}
probe();
