/* What a failure of a build, an audit or a check says of its recipe: pure, from texts. Internal to
 * the room. */
#ifndef IW_UPGRADE_LEARN_H
#define IW_UPGRADE_LEARN_H

#include <stdbool.h>

#include "base/text.h"

typedef enum iw_lesson_kind {
    IW_LESSON_NONE,        /* `what`: the line that tells most */
    IW_LESSON_PYTHON_NEED, /* `what`: a project; `conditions`: on its version, or NULL. To build, or
                              to run where the failure is a check's */
    IW_LESSON_NEED,        /* `what`: a recipe, perhaps; `debian`: the package that has the same, or
                              NULL; `missing`: what was looked for */
    IW_LESSON_TOOL,        /* likewise, of a program */
    IW_LESSON_ENVIRONMENT, /* `what`: NAME=value */
    IW_LESSON_DENY_FLAGS,  /* code for newer CPUs that the compiler's flags switch on */
    IW_LESSON_PIN,         /* `what`: a package of which two versions would be laid */
    IW_LESSON_DROP_MODULE, /* `what`: a module that its check can't import */
    IW_LESSON_QUESTION     /* `what`: a sentence that only a person can answer */
} iw_lesson_kind;

typedef struct iw_lesson {
    iw_lesson_kind kind;
    char *what, *conditions, *missing; /* owned */
    const char *debian;                /* static */
    bool run;                          /* needed to run, not to build */
} iw_lesson;

void iw_lesson_clear(iw_lesson *lesson);
/* `message`: the error; `log`: the end of the failed step's log, or "". `name`, `version`: of the
 * package. */
void iw_learn(const char *name, const char *version, const char *message, const char *log,
              iw_lesson *out);
/* The line of a failure that tells most, shortened. Caller frees. */
char *iw_telling_line(const char *message, const char *log);
/* The project that brings a module, normalised: "yaml" gives "pyyaml". Caller frees. */
char *iw_module_project(const char *module);
/* The recipe that brings a shared library, or NULL; static. */
const char *iw_library_recipe(const char *soname);
/* The recipes that bring the shared libraries which `message`, of a bundle, calls missing; false
 * where it is about something else, or one of them isn't known. */
bool iw_missing_libraries(const char *message, iw_strings *recipes);

#endif
