/* Findings, files and sums as JSON lines and as text. */
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "audit/audit.h"
#include "audit/isa.h"
#include "base/json.h"
#include "base/memory.h"

/* --- JSON ----------------------------------------------------------------- */

static char *dump(json_t *object)
{
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text) return iw_strdup("{}");
    return text;
}

static void set_number(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static json_t *json_hex(uint64_t value)
{
    iw_cleanup_free char *text = iw_format("0x%" PRIx64, value);
    return json_string(text);
}

static void hex_bytes(const iw_audit_finding *finding, char *out, const char *between)
{
    char *at = out;
    *at = 0;
    for (unsigned i = 0; i < finding->length; i++)
        at += sprintf(at, "%s%02x", i ? between : "", finding->bytes[i]);
}

char *iw_audit_finding_json(const iw_audit_finding *finding)
{
    char bytes[64];
    json_t *o = json_object();
    hex_bytes(finding, bytes, "");
    json_object_set_new(o, "type", json_string("finding"));
    json_object_set_new(o, "file", iw_json_text(finding->file));
    json_object_set_new(o, "function", iw_json_text(finding->function));
    json_object_set_new(o, "address", json_hex(finding->address));
    json_object_set_new(o, "section", iw_json_text(finding->section));
    if (finding->function) set_number(o, "offset", finding->offset);
    json_object_set_new(o, "bytes", json_string(bytes));
    json_object_set_new(o, "mnemonic", iw_json_text(finding->mnemonic));
    json_object_set_new(o, "instruction", iw_json_text(finding->text));
    json_object_set_new(o, "feature", iw_json_text(finding->feature));
    json_object_set_new(o, "standing", json_string(iw_finding_standing_name(finding->standing)));
    if (finding->reason) json_object_set_new(o, "reason", iw_json_text(finding->reason));
    if (finding->via) json_object_set_new(o, "via", iw_json_text(finding->via));
    return dump(o);
}

static void set_counts(json_t *o, const iw_audit_count *counts, size_t count)
{
    json_t *all = json_object(), *guarded = json_object();
    for (size_t i = 0; i < count; i++) {
        set_number(all, counts[i].feature, counts[i].count);
        if (counts[i].guarded) set_number(guarded, counts[i].feature, counts[i].guarded);
    }
    json_object_set_new(o, "counts", all);
    if (json_object_size(guarded)) json_object_set(o, "guarded", guarded);
    json_decref(guarded);
}

char *iw_audit_file_json(const iw_audit_file *file)
{
    json_t *o = json_object(), *functions = json_array();
    json_object_set_new(o, "type", json_string("file"));
    json_object_set_new(o, "path", iw_json_text(file->file));
    json_object_set_new(o, "verdict", json_string(iw_verdict_name(file->verdict)));
    set_number(o, "code_bytes", file->code_bytes);
    set_counts(o, file->counts, file->count_count);
    set_number(o, "instructions", file->instructions);
    set_number(o, "functions", file->functions);
    set_number(o, "undecided", file->undecided);
    set_number(o, "undecided_bytes", file->undecided_bytes);
    set_number(o, "resyncs", file->resyncs);
    for (size_t i = 0; i < file->top_count; i++) {
        json_t *f = json_object();
        json_object_set_new(f, "function", iw_json_text(file->top[i].name));
        json_object_set_new(f, "address", json_hex(file->top[i].address));
        set_number(f, "count", file->top[i].count);
        set_number(f, "guarded", file->top[i].guarded);
        json_array_append_new(functions, f);
    }
    if (file->top_count) json_object_set(o, "top", functions);
    json_decref(functions);
    if (file->note) json_object_set_new(o, "note", iw_json_text(file->note));
    return dump(o);
}

char *iw_audit_summary_json(const iw_audit_summary *summary, const char *profile)
{
    json_t *o = json_object();
    json_object_set_new(o, "type", json_string("summary"));
    json_object_set_new(o, "profile", iw_json_text(profile));
    json_object_set_new(o, "verdict", json_string(iw_verdict_name(summary->verdict)));
    set_number(o, "files", summary->files);
    set_number(o, "clean", summary->clean);
    set_number(o, "guarded_files", summary->guarded);
    set_number(o, "tried", summary->tried);
    set_number(o, "broken", summary->broken);
    set_number(o, "skipped", summary->skipped);
    set_number(o, "code_bytes", summary->code_bytes);
    set_number(o, "instructions", summary->instructions);
    set_number(o, "undecided", summary->undecided);
    set_number(o, "undecided_bytes", summary->undecided_bytes);
    set_number(o, "resyncs", summary->resyncs);
    set_counts(o, summary->counts, summary->count_count);
    json_object_set_new(o, "seconds", json_real(summary->seconds));
    return dump(o);
}

/* --- text ----------------------------------------------------------------- */

char *iw_audit_finding_text(const iw_audit_finding *finding)
{
    char bytes[64];
    iw_buffer out = {0};
    hex_bytes(finding, bytes, " ");
    iw_buffer_add_format(&out, "%s: ", finding->file);
    if (finding->function)
        iw_buffer_add_format(&out, "%s+0x%" PRIx64, finding->function, finding->offset);
    else iw_buffer_add_text(&out, "no function");
    iw_buffer_add_format(&out, " (%s 0x%" PRIx64 "): %s needs %s, %s\n    %s\n", finding->section,
                         finding->address, finding->text, finding->feature,
                         iw_finding_standing_name(finding->standing), bytes);
    if (finding->via) iw_buffer_add_format(&out, "    runs before main: %s\n", finding->via);
    if (finding->reason) iw_buffer_add_format(&out, "    %s\n", finding->reason);
    return iw_buffer_take(&out);
}

static void add_counts(iw_buffer *out, const iw_audit_count *counts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        iw_buffer_add_format(out, "%s%s %" PRIu64, i ? ", " : "", counts[i].feature,
                             counts[i].count);
        if (counts[i].guarded == counts[i].count) iw_buffer_add_text(out, " (all guarded)");
        else if (counts[i].guarded)
            iw_buffer_add_format(out, " (%" PRIu64 " guarded)", counts[i].guarded);
    }
}

char *iw_audit_file_text(const iw_audit_file *file)
{
    iw_buffer out = {0};
    iw_cleanup_free char *size = iw_format_bytes(file->code_bytes);
    iw_buffer_add_format(&out, "%s: %s, %s of code", file->file, iw_verdict_name(file->verdict),
                         size);
    if (file->count_count) iw_buffer_add_text(&out, ": ");
    add_counts(&out, file->counts, file->count_count);
    iw_buffer_add_char(&out, '\n');
    if (file->note) iw_buffer_add_format(&out, "    %s\n", file->note);
    if (file->undecided_bytes || file->undecided)
        iw_buffer_add_format(&out,
                             "    %" PRIu64
                             " bytes that nothing shows to be code (tables, most often), %" PRIu64
                             " forbidden instructions if they were\n",
                             file->undecided_bytes, file->undecided);
    for (size_t i = 0; i < file->top_count && i < 5; i++)
        iw_buffer_add_format(&out, "    %8" PRIu64 "  %s%s\n", file->top[i].count,
                             file->top[i].name,
                             file->top[i].guarded == file->top[i].count ? " (guarded)" : "");
    return iw_buffer_take(&out);
}

char *iw_audit_summary_text(const iw_audit_summary *summary, const char *profile)
{
    iw_buffer out = {0};
    iw_cleanup_free char *size = iw_format_bytes(summary->code_bytes),
                         *time = iw_format_seconds(summary->seconds);
    iw_buffer_add_format(&out,
                         "%s for %s: %" PRIu64 " files (%" PRIu64 " clean, %" PRIu64
                         " guarded, %" PRIu64 " tried, %" PRIu64 " broken, %" PRIu64
                         " not x86-64), %s of code, %s\n",
                         iw_verdict_name(summary->verdict), profile, summary->files, summary->clean,
                         summary->guarded, summary->tried, summary->broken, summary->skipped, size,
                         time);
    for (size_t i = 0; i < summary->count_count; i++) {
        const iw_audit_count *c = &summary->counts[i];
        const char *remark = iw_isa_remark(c->feature);
        iw_buffer_add_format(&out, "    %10" PRIu64 "  %s", c->count, c->feature);
        if (c->guarded) iw_buffer_add_format(&out, " (%" PRIu64 " guarded)", c->guarded);
        iw_buffer_add_format(&out, "%s%s\n", remark ? ": " : "", remark ? remark : "");
    }
    if (summary->undecided_bytes)
        iw_buffer_add_format(&out,
                             "    %" PRIu64 " bytes undecided: nothing shows them to be code\n",
                             summary->undecided_bytes);
    return iw_buffer_take(&out);
}
