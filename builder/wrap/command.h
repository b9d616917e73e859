/* What a compiler's command line asks for, as far as the wrapper must know. Pure. */
#ifndef IW_WRAP_COMMAND_H
#define IW_WRAP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

typedef enum iw_compile_mode { IW_MODE_QUERY, IW_MODE_PREPROCESS, IW_MODE_COMPILE, IW_MODE_ASSEMBLY_TEXT, IW_MODE_LINK } iw_compile_mode;

/* Indexes are into the argv given; -1: absent. Texts are borrowed from it. */
typedef struct iw_compile {
    iw_compile_mode mode;
    const char *source;      /* the only source, or NULL (none or several) */
    size_t source_count;
    const char *output;      /* of -o, or NULL */
    int output_index;        /* of the argument that holds it; -1 */
    bool output_joined;      /* -oNAME */
    const char *depfile;     /* of -MF */
    bool md, mmd, target_given; /* -MD, -MMD, -MT or -MQ */
    bool uncacheable;        /* options that make or read more than source, headers and object */
} iw_compile;

void iw_compile_parse(const iw_strings *argv, iw_compile *out);

/* By the file's ending: C, C++, assembler with preprocessor. */
bool iw_source_has_depfile(const char *source);
/* Fixed-form Fortran. */
bool iw_source_is_fixed_fortran(const char *source);
/* Paths of a make-style dependency file, without the target; -1 where it isn't one. */
int iw_depfile_parse(const char *text, iw_strings *out);

#endif
