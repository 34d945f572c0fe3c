/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Elements of a page: HTML's, and shapes in drawings. libxml2 escapes whatever is text. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>

#include "tools/page_parts.h"

#define TEXT_MAX 2048

xmlNodePtr page_el(xmlNodePtr parent, const char *name, const char *text)
{
    return parent ? xmlNewTextChild(parent, NULL, BAD_CAST name, BAD_CAST text) : NULL;
}

void page_attr(xmlNodePtr n, const char *name, const char *fmt, ...)
{
    char text[TEXT_MAX];
    va_list al;

    if (!n)
        return;
    va_start(al, fmt);
    vsnprintf(text, sizeof(text), fmt, al);
    va_end(al);
    xmlNewProp(n, BAD_CAST name, BAD_CAST text);
}

xmlNodePtr page_classed(xmlNodePtr parent, const char *name, const char *class, const char *text)
{
    xmlNodePtr n = page_el(parent, name, text);

    page_attr(n, "class", "%s", class);
    return n;
}

/* --- drawings --- */

xmlNodePtr page_svg(xmlNodePtr parent, double width, double height, const char *what)
{
    xmlNodePtr svg = page_el(parent, "svg", NULL);

    page_attr(svg, "viewBox", "0 0 %g %g", width, height);
    page_attr(svg, "role", "img");
    page_attr(svg, "aria-label", "%s", what);
    return svg;
}

xmlNodePtr page_rect(xmlNodePtr svg, const char *class, double x, double y, double width,
                     double height, const char *title)
{
    xmlNodePtr n = page_el(svg, "rect", NULL);

    page_attr(n, "class", "%s", class);
    page_attr(n, "x", "%.2f", x);
    page_attr(n, "y", "%.2f", y);
    page_attr(n, "width", "%.2f", width > 0 ? width : 0);
    page_attr(n, "height", "%.2f", height > 0 ? height : 0);
    if (title)
        page_el(n, "title", title);
    return n;
}

void page_line(xmlNodePtr svg, const char *class, double x1, double y1, double x2, double y2)
{
    xmlNodePtr n = page_el(svg, "line", NULL);

    page_attr(n, "class", "%s", class);
    page_attr(n, "x1", "%.2f", x1);
    page_attr(n, "y1", "%.2f", y1);
    page_attr(n, "x2", "%.2f", x2);
    page_attr(n, "y2", "%.2f", y2);
}

void page_label(xmlNodePtr svg, const char *anchor, double x, double y, const char *text)
{
    xmlNodePtr n = page_el(svg, "text", text);

    page_attr(n, "x", "%.2f", x);
    page_attr(n, "y", "%.2f", y);
    page_attr(n, "text-anchor", "%s", anchor);
}

double page_nice(double v)
{
    static const double steps[] = {1, 2, 5, 10};
    double power;

    if (!(v > 0) || !isfinite(v))
        return 1;
    power = pow(10, floor(log10(v)));
    for (int i = 0; i < 4; i++)
        if (v <= steps[i] * power * (1 + 1e-9))
            return steps[i] * power;
    return 10 * power;
}

double page_nice_bytes(double v)
{
    double unit = 1;

    while (unit < v / 1000 && unit < 0x1p50)
        unit *= 1024;
    return page_nice(v / unit) * unit;
}
