/* Requirements as people write them: files, options, encodings, markers, locks. */
#include "kit.h"

#include "triage/requirement.h"

static void add_requirement(iw_buffer *out, const iw_want *one)
{
    iw_cleanup_free char *where = iw_origin_text(&one->origin);
    iw_buffer_add_format(out, "%s: %s = %s [%s] %s pin %s", iw_path_base(where), one->text,
                         one->name, one->extras ? one->extras : "", one->conditions,
                         one->pinned ? one->pinned : "-");
    for (size_t i = 0; i < one->hashes.count; i++)
        iw_buffer_add_format(out, " %s", one->hashes.items[i]);
    iw_buffer_add_text(out, "\n");
}

/* All of it as text. */
static char *told(const iw_requirements *all)
{
    iw_buffer out = {0};
    for (size_t i = 0; i < all->count; i++) add_requirement(&out, &all->items[i]);
    for (size_t i = 0; i < all->constraint_count; i++) {
        iw_buffer_add_text(&out, "constraint ");
        add_requirement(&out, &all->constraints[i]);
    }
    for (size_t i = 0; i < all->left_count; i++) {
        iw_cleanup_free char *where = iw_origin_text(&all->left[i].origin);
        iw_buffer_add_format(&out, "left %s: %s\n", iw_path_base(where), all->left[i].text);
    }
    return iw_buffer_take(&out);
}

static void read_gives(void *folder, const char *data, size_t length, const char *wanted)
{
    iw_error err = IW_ERROR_INIT;
    iw_requirements all = {0};
    kit_write(folder, "r.txt", data, length, 0644);
    iw_cleanup_free char *path = iw_path_join(folder, "r.txt");
    kit_ok(iw_requirements_read(&all, path, &err));
    iw_cleanup_free char *text = told(&all);
    assert_string_equal(text, wanted);
    iw_requirements_free(&all);
}

static void test_lines(void **state)
{
    static const struct {
        const char *line, *wanted;
    } cases[] = {
        {"requests (==2.32.3)", "r.txt:1: requests==2.32.3 = requests [] ==2.32.3 pin 2.32.3\n"},
        {"scipy === 1.13.1", "r.txt:1: scipy===1.13.1 = scipy [] ===1.13.1 pin 1.13.1\n"},
        {"Name.Of_it[ b , a ] ~= 1.2  # why",
         "r.txt:1: Name.Of_it[b,a]~=1.2 = name-of-it [b,a] ~=1.2 pin -\n"},
        {"a>=1,<2,!=1.5", "r.txt:1: a>=1,<2,!=1.5 = a [] >=1,<2,!=1.5 pin -\n"},
        {"a (>=1, <2,)", "r.txt:1: a>=1,<2 = a [] >=1,<2 pin -\n"},
        {"a==1.*", "r.txt:1: a==1.* = a [] ==1.* pin -\n"},
        {"a==1!2.0+cu126", "r.txt:1: a==1!2.0+cu126 = a [] ==1!2.0+cu126 pin 1!2.0+cu126\n"},
        {"a==1 \\\r\n  --hash=SHA256:AB \\\r\n  --hash sha256:cd # both\r\nb",
         "r.txt:1: a==1 = a [] ==1 pin 1 sha256:ab sha256:cd\nr.txt:4: b = b []  pin -\n"},
        {"a==1 --config-settings x=y", "r.txt:1: a==1 = a [] ==1 pin 1\n"},
        {"# a comment \\\nb", "r.txt:2: b = b []  pin -\n"},
        {"a#b", "left r.txt:1: a#b\n"},
        {"a\t#b\n\n \n", "r.txt:1: a = a []  pin -\n"},
        {"a==1 @ https://u:p@h/a.whl\nb", "r.txt:2: b = b []  pin -\nleft r.txt:1: a==1 @ "
                                          "https://****@h/a.whl\n"},
        {"a @ git+ssh://git@h/x.git ; os_name=='x'",
         "left r.txt:1: a @ git+ssh://****@h/x.git ; os_name=='x'\n"},
        {"-e .\n--editable=git+https://t:s@h/x#egg=x\n./here\nx.tar.gz\nC:\\x\nfile:x\n..",
         "left r.txt:1: -e .\nleft r.txt:2: --editable=git+https://****@h/x#egg=x\nleft r.txt:3: "
         "./here\nleft r.txt:4: x.tar.gz\nleft r.txt:5: C:\\x\nleft r.txt:6: file:x\nleft r.txt:7: "
         "..\n"},
        {"--only-binary :all:\n--no-binary=x\n--require-hashes\n--hostile\033[2J\na",
         "r.txt:5: a = a []  pin -\nleft r.txt:4: --hostile?[2J\n"},
        {"name==\nname[x\nname>=1 2\n\xff==1\nevil\033[2J==1",
         "left r.txt:1: name==\nleft r.txt:2: name[x\nleft r.txt:3: name>=1 2\nleft r.txt:4: "
         "?==1\nleft r.txt:5: evil?[2J==1\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        read_gives(*state, cases[i].line, strlen(cases[i].line), cases[i].wanted);
}

static void test_encodings(void **state)
{
    static const char wanted[] = "r.txt:1: a==1 = a [] ==1 pin 1\nr.txt:2: b = b []  pin -\n",
                      little[] = "\xff\xfe"
                                 "a\0=\0=\0"
                                 "1\0 \0#\0\x3d\xd8\x00\xde\r\0\n\0b\0",
                      big[] = "\xfe\xff\0a\0=\0=\0"
                              "1\0\n\0b",
                      wide[] = "\xff\xfe\0\0a\0\0\0=\0\0\0=\0\0\0"
                               "1\0\0\0\n\0\0\0b\0\0\0",
                      marked[] = "\xef\xbb\xbf"
                                 "a==1\r\nb\r\n";
    read_gives(*state, little, sizeof little - 1, wanted);
    read_gives(*state, big, sizeof big - 1, wanted);
    read_gives(*state, wide, sizeof wide - 1, wanted);
    read_gives(*state, marked, sizeof marked - 1, wanted);
    static const struct {
        const char *data;
        size_t length;
    } bad[] = {{"a\0b", 3},
               {"\xff\xfe\x61", 3},
               {"\xff\xfe\x00\xd8\x61\x00", 6},
               {"\xff\xfe\0\0\0\0\x11\0", 8}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        iw_error err = IW_ERROR_INIT;
        iw_requirements all = {0};
        iw_cleanup_free char *path = iw_path_join(*state, "bad.txt");
        kit_write(*state, "bad.txt", bad[i].data, bad[i].length, 0644);
        kit_fails(iw_requirements_read(&all, path, &err), IW_E_FORMAT, "is no text");
        iw_requirements_free(&all);
    }
}

static void test_files_that_name_files(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_requirements all = {0};
    iw_cleanup_free char *path = iw_path_join(*state, "top/r.txt"),
                         *broken = iw_path_join(*state, "broken.txt");
    setenv("IW_TEST_TOKEN", "secret", 1);
    kit_text(
        *state, "top/r.txt",
        "-r ../other/more.txt\n-c limits.txt\n-r https://u:p@h/x.txt\n-i "
        "https://u:${IW_TEST_TOKEN}@h/simple\n--find-links=wheels\n--pre\n-r 'with space.txt'\n");
    kit_text(*state, "top/limits.txt", "numpy<2\n-r ../other/more.txt\n");
    kit_text(*state, "top/with space.txt", "c\n");
    kit_text(*state, "other/more.txt", "a==1\n-rmost.txt\n");
    kit_text(*state, "other/most.txt", "b\n-r more.txt\n");
    kit_ok(iw_requirements_read(&all, path, &err));
    iw_cleanup_free char *text = told(&all);
    assert_string_equal(text, "more.txt:1: a==1 = a [] ==1 pin 1\nmost.txt:1: b = b []  pin -\n"
                              "with space.txt:1: c = c []  pin -\n"
                              "constraint limits.txt:1: numpy<2 = numpy [] <2 pin -\n"
                              "constraint more.txt:1: a==1 = a [] ==1 pin 1\n"
                              "constraint most.txt:1: b = b []  pin -\n"
                              "left r.txt:3: https://****@h/x.txt\n");
    iw_cleanup_free char *links = iw_format("--find-links %s/top/wheels", (char *)*state);
    assert_int_equal(all.options.count, 3);
    assert_string_equal(all.options.items[0], "-i https://u:secret@h/simple");
    assert_string_equal(all.options.items[1], links);
    iw_requirements_free(&all);
    kit_text(*state, "broken.txt", "\n-r missing.txt\n");
    kit_fails(iw_requirements_read(&all, broken, &err), IW_E_NOT_FOUND, "broken.txt:2");
    iw_requirements_free(&all);
}

static void test_operands(void **state)
{
    (void)state;
    iw_requirements all = {0};
    iw_requirements_add(&all, " numpy == 2.0 ");
    iw_requirements_add(&all, "--index-url=https://u:p@h");
    iw_cleanup_free char *text = told(&all);
    assert_string_equal(text, "the command line: numpy==2.0 = numpy [] ==2.0 pin 2.0\n"
                              "left the command line: --index-url=https://****@h\n");
    iw_requirements_free(&all);
}

/* --- by Python ------------------------------------------------------------ */

static char *words[] = {"/usr/bin/python3", NULL};
static const iw_strings python = {words, 1, 1}, environment = {0};

static void test_markers(void **state)
{
    iw_error err = IW_ERROR_INIT;
    iw_requirements all = {0};
    static const char lines[] =
        "pywin32 ; sys_platform == \"win32\"\nprotobuf==3; python_version < '3.9'\n"
        "protobuf==4; python_version < '3.10'\nprotobuf==5; python_version >= '3.10'\n"
        "x; extra == 'test'\ny; no marker\nz\n";
    kit_text(*state, "r.txt", lines);
    kit_text(*state, "c.txt", "k<2; os_name == 'nt'\nl<2\n");
    iw_cleanup_free char *path = iw_path_join(*state, "r.txt");
    kit_ok(iw_requirements_read(&all, path, &err));
    for (int i = 0; i < 2000; i++)
        iw_requirements_add(&all, "many; sys_platform == 'linux2' and os_name == 'nt'");
    kit_ok(iw_requirements_settle(&all, &python, &environment, &err));
    assert_int_equal(all.count, 2);
    assert_string_equal(all.items[0].pinned, "5");
    assert_string_equal(all.items[1].name, "z");
    assert_int_equal(all.left_count, 2005);
    assert_string_equal(all.left[0].why, "its marker leaves it out here");
    assert_true(all.left[0].elsewhere);
    assert_true(strncmp(all.left[4].why, "its marker can't be read", 24) == 0);
    assert_false(all.left[4].elsewhere);
    iw_requirements_free(&all);
}

/* A project's own file, and other tools'. */
static void test_given(void **state)
{
    static const struct {
        const char *name, *text, *wanted; /* or what the failure says */
    } cases[] = {
        {"pyproject.toml",
         "[build-system]\nrequires = ['hatchling']\n[project]\nname = 'x'\nrequires-python = "
         "'>=3.8'\ndependencies = [\n  \"click>=8\",\n  'six; python_version < \"4\"',\n  \"far @ "
         "https://h/far.whl\"]\n[project.optional-dependencies]\ntest = ['pytest']\n",
         "pyproject.toml:7: click>=8 = click [] >=8 pin -\n"
         "pyproject.toml:8: six; python_version < \"4\" = six []  pin -\n"
         "left pyproject.toml:9: far @ https://h/far.whl\n"},
        {"pyproject.toml", "[project]\nname = 'x'\n", ""},
        {"pyproject.toml", "[project]\nrequires-python = '>=3.99'\ndependencies = ['click']\n",
         "!it asks for Python >=3.99 (requires-python), and this is 3."},
        {"pyproject.toml", "[project]\nname = 'x'\ndynamic = ['dependencies']\n",
         "!its build alone knows what it needs (dynamic): `pip-compile pyproject.toml`"},
        {"pyproject.toml", "[tool.poetry.dependencies]\nclick = '*'\n", "!give poetry.lock"},
        {"pyproject.toml", "[tool.black]\n", "!it has no [project]"},
        {"pyproject.toml", "[project\n", "!TOMLDecodeError"},
        {"uv.lock", "[[package]\n", "!TOMLDecodeError"},
        {"Pipfile.lock", "{}", "!`pipenv requirements >requirements.txt`"},
        {"environment.yml", "dependencies: [numpy]\n", "!`pip list --format=freeze"},
        {"requirements.txt", "click==1\n", "requirements.txt:1: click==1 = click [] ==1 pin 1\n"},
        {"requirements.txt", "-r missing.txt\n", "!requirements.txt:1: "},
        {"missing/requirements.txt", NULL, "!there is no file "}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        iw_error err = IW_ERROR_INIT;
        iw_requirements all = {0};
        iw_cleanup_free char *path = iw_path_join(*state, cases[i].name);
        if (cases[i].text) kit_text(*state, cases[i].name, cases[i].text);
        const char *wanted = cases[i].wanted;
        if (*wanted == '!') {
            kit_fails(iw_requirements_read_given(&all, path, &python, &environment, &err),
                      IW_E_USAGE, wanted + 1);
        } else {
            kit_ok(iw_requirements_read_given(&all, path, &python, &environment, &err));
            iw_cleanup_free char *text = told(&all);
            assert_string_equal(text, wanted);
        }
        iw_requirements_free(&all);
    }
}

static void test_locks(void **state)
{
    static const struct {
        const char *name, *text, *wanted;
    } locks[] = {
        {"uv.lock",
         "version = 1\n[[package]]\nname = \"pinned\"\nversion = \"1.0\"\nsource = { registry = "
         "\"x\" }\nwheels = [{ url = \"y\", hash = \"sha256:AB\" }]\nsdist = { url = \"y\", hash = "
         "\"sha256:ef\" }\n[[package]]\nname = "
         "\"own\"\nversion = \"0\"\nsource = { virtual = \".\" }\n[[package]]\nname = "
         "\"far\"\nversion = \"1\"\nsource = { git = \"https://u:p@h/far\" }\n",
         "uv.lock:2: pinned==1.0 = pinned [] ==1.0 pin 1.0 sha256:ab sha256:ef\nleft uv.lock:12: "
         "far==1\n"},
        {"pylock.toml",
         "lock-version = \"1.0\"\n[[packages]]\nname = \"pinned\"\nversion = \"1.0\"\nmarker = "
         "\"os_name == 'posix'\"\n[[packages.wheels]]\nurl = \"y\"\nhashes = { sha256 = \"cd\" "
         "}\n[[packages]]\nname = \"own\"\n[packages.directory]\npath = \".\"\n[[packages]]\nname "
         "= "
         "\"a\\n--index-url=x\"\nversion = \"1\"\n",
         "pylock.toml:2: pinned==1.0; os_name == 'posix' = pinned [] ==1.0 pin 1.0 sha256:cd\nleft "
         "pylock.toml:13: a?--index-url=x==1\n"}};
    for (size_t i = 0; i < 2; i++) {
        iw_error err = IW_ERROR_INIT;
        iw_requirements all = {0};
        kit_text(*state, locks[i].name, locks[i].text);
        iw_cleanup_free char *path = iw_path_join(*state, locks[i].name);
        assert_true(iw_requirements_is_lock(path));
        kit_ok(iw_requirements_read_lock(&all, path, &python, &environment, &err));
        iw_cleanup_free char *text = told(&all);
        assert_string_equal(text, locks[i].wanted);
        iw_requirements_free(&all);
        kit_text(*state, locks[i].name, "[[package]\n");
        kit_fails(iw_requirements_read_lock(&all, path, &python, &environment, &err), IW_E_IO,
                  "TOMLDecodeError");
    }
}

#define with_folder(test) cmocka_unit_test_setup_teardown(test, kit_setup, kit_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        with_folder(test_lines),
        with_folder(test_encodings),
        with_folder(test_files_that_name_files),
        with_folder(test_operands),
        with_folder(test_markers),
        with_folder(test_given),
        with_folder(test_locks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
