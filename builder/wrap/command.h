/* What a compiler's command line asks for, as far as the wrapper must know. Pure. */
#ifndef IW_WRAP_COMMAND_H
#define IW_WRAP_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

typedef enum iw_tool_kind {
    IW_TOOL_COMPILER,
    IW_TOOL_PREPROCESSOR,
    IW_TOOL_ASSEMBLER,
    IW_TOOL_LINKER,
    IW_TOOL_RUST,
    IW_TOOL_NVCC /* NVIDIA's, which has gcc compile the host's part */
} iw_tool_kind;
iw_tool_kind iw_tool_kind_of(const char *name); /* by base name: gcc-12, x86_64-linux-gnu-as … */

typedef enum iw_compile_mode {
    IW_MODE_QUERY,
    IW_MODE_PREPROCESS,
    IW_MODE_COMPILE,
    IW_MODE_ASSEMBLY_TEXT,
    IW_MODE_LINK
} iw_compile_mode;

/* Indexes are into the argv given; -1: absent. Texts are borrowed from it. */
typedef struct iw_compile {
    iw_compile_mode mode;
    const char *source; /* the only source, or NULL (none or several); "-" is standard input */
    size_t source_count;
    const char *language;       /* of -x for the source, or NULL: by its ending */
    const char *output;         /* of -o, or NULL */
    int output_index;           /* of the argument that holds it; -1 */
    size_t output_prefix;       /* bytes before it in that argument: 2 for -oNAME */
    const char *depfile;        /* of -MF */
    bool md, mmd, target_given; /* -MD, -MMD, -MT or -MQ */
    const char *uncacheable; /* the first option that makes or reads more than source, headers and
                                object; NULL: none */
} iw_compile;

void iw_compile_parse(iw_tool_kind kind, const iw_strings *argv, iw_compile *out);

/* Whether gcc takes the next argument as this option's value (GCC manual, "Option Index"). */
bool iw_option_takes_value(const char *option);
/* By the file's ending: whether gcc compiles or assembles it. */
bool iw_is_source(const char *argument);
/* Whether it is assembler, preprocessed or not: by its language or its ending. */
bool iw_is_assembler(const char *source, const char *language);
/* Whether gcc precompiles it: by its language or its ending. */
bool iw_is_header(const char *source, const char *language);
/* By the file's ending: C, C++, assembler with preprocessor, CUDA: what gcc or nvcc writes a
 * dependency file for. */
bool iw_source_has_depfile(const char *source);
/* Fixed-form Fortran that is not preprocessed. */
bool iw_source_is_fixed_fortran(const char *source);
/* The name that gcc -c gives the object without -o: "dir/a.c" gives "a.o". Caller frees. */
char *iw_object_name(const char *source);
/* Paths of a make-style dependency file, without the target; -1 where it isn't one. */
int iw_depfile_parse(const char *text, iw_strings *out);
/* Whether assembler text has a statement `.arch` (GNU as manual, "i386-Arch"): it widens what
 * -march allows. Not those in strings and comments to a line's end. */
bool iw_has_arch_directive(const char *text, size_t length);
/* Whether text has an assembler statement that reads another file (.incbin, .include), in assembler
 * or as inline assembly. */
bool iw_has_file_directive(const char *text, size_t length);

#endif
