/* Git trees over HTTP from this host: commits, submodules, digests, refusals, no configuration of
 * the user, servers that hang. */
#include "kit.h"

#include "fetch/git.h"
#include "store/archive.h"

static const char *const git_environment[] = {"PATH=/usr/local/bin:/usr/bin:/bin",
                                              "HOME=/nonexistent",
                                              "GIT_CONFIG_NOSYSTEM=1",
                                              "GIT_CONFIG_GLOBAL=/dev/null",
                                              "GIT_AUTHOR_NAME=A",
                                              "GIT_AUTHOR_EMAIL=a@example.org",
                                              "GIT_COMMITTER_NAME=A",
                                              "GIT_COMMITTER_EMAIL=a@example.org",
                                              "GIT_AUTHOR_DATE=2020-01-01T00:00:00Z",
                                              "GIT_COMMITTER_DATE=2020-01-01T00:00:00Z",
                                              NULL};

/* Runs git with words split at spaces; caller frees the output, without its last newline. */
static char *git(const char *folder, const char *words)
{
    iw_cleanup_strings iw_strings argv = {0};
    static const char *const fixed[] = {"git",
                                        "-c",
                                        "init.defaultBranch=main",
                                        "-c",
                                        "protocol.file.allow=always",
                                        "-c",
                                        "core.hooksPath=/dev/null",
                                        "-C",
                                        NULL};
    iw_strings_add_all(&argv, fixed);
    iw_strings_add(&argv, folder);
    iw_slice rest = iw_slice_of(words), word;
    while (iw_slice_next(&rest, ' ', &word))
        iw_strings_add_format(&argv, "%.*s", (int)word.length, word.data);
    char *out = kit_run((const char *const *)argv.items, git_environment);
    out[strcspn(out, "\n")] = 0;
    return out;
}

static void run_git(const char *folder, const char *words)
{
    free(git(folder, words));
}

/* A served bare repository <name>.git of the work tree files/../git/<name>, at its last commit,
 * which is returned. */
static char *publish(kit *k, const char *name)
{
    iw_cleanup_free char *work = iw_format("%s/git/%s", k->folder, name),
                         *bare = iw_format("%s/%s.git", k->files, name),
                         *clone = iw_format("clone -q --bare . %s", bare);
    kit_check(iw_remove_tree(bare, NULL), NULL, "remove", __FILE__, __LINE__);
    run_git(work, clone);
    return git(work, "rev-parse HEAD");
}

static char *new_work(kit *k, const char *name)
{
    char *work = iw_format("%s/git/%s", k->folder, name);
    iw_error err = IW_ERROR_INIT;
    kit_ok(iw_remove_tree(work, &err));
    kit_ok(iw_make_folders(work, 0755, &err));
    run_git(work, "init -q");
    return work;
}

/* A repository with a file, a program, a link and a folder; an attribute and CRLF that a checkout
 * with filters would change. */
static char *simple(kit *k, const char *name)
{
    iw_cleanup_free char *work = new_work(k, name), *prefix = iw_format("git/%s/", name),
                         *program = iw_format("%s/bin/run", work),
                         *link = iw_format("%s/link", work);
    static const char *const files[][2] = {{"README", "hello\r\n"},
                                           {"bin/run", "#!/bin/sh\n"},
                                           {"deep/er/x.c", "int x; /* $Id$ */\n"},
                                           {".gitattributes",
                                            "* text=auto eol=lf ident\nREADME -text\n"}};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        iw_cleanup_free char *path = iw_format("%s%s", prefix, files[i][0]);
        kit_text(k, path, files[i][1]);
    }
    assert_int_equal(chmod(program, 0755), 0);
    assert_int_equal(symlink("deep/er/x.c", link), 0);
    run_git(work, "add .");
    run_git(work, "commit -q -m one");
    return publish(k, name);
}

static iw_source source_of(const char *url, const char *commit, const char *digest)
{
    return (iw_source){.kind = IW_SOURCE_GIT,
                       .id = "1",
                       .name = url,
                       .commit = commit,
                       .sha256 = digest,
                       .to = ".",
                       .unpack = true,
                       .place = {"recipes/g/1.yaml", 7, 3}};
}

static int fetch(kit *k, const iw_source *source, iw_error *err)
{
    iw_fetch_options options = {.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 30};
    iw_recipe recipe = {.name = "g", .version = "1", .sources = source, .source_count = 1};
    iw_wanted wanted = {.recipe = &recipe, .source = source};
    return iw_fetch_all(k->store, &wanted, 1, &options, err);
}

/* The digest that a first try with a wrong pin tells, as a person finds it out. */
static void learn(kit *k, iw_source *source, char digest[IW_SHA256_HEX])
{
    iw_error err = IW_ERROR_INIT;
    static const char none[] = "0000000000000000000000000000000000000000000000000000000000000000";
    source->sha256 = none;
    kit_fails_with(fetch(k, source, &err), IW_E_DIGEST, none);
    kit_has(err.message, "recipes/g/1.yaml:7");
    const char *at = strstr(err.message, "has the SHA-256 ");
    assert_non_null(at);
    snprintf(digest, IW_SHA256_HEX, "%.64s", at + strlen("has the SHA-256 "));
    assert_true(iw_is_sha256(digest));
    bool has = true;
    kit_ok(iw_store_has_source(k->store, digest, &has, &err));
    assert_false(has); /* never used */
    source->sha256 = digest;
    iw_error_clear(&err);
}

static void expect_file(const char *folder, const char *name, const char *text)
{
    iw_cleanup_free char *path = iw_path_join(folder, name), *got = kit_read(path);
    assert_string_equal(got, text);
}

static void brings_a_tree(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_store *store = kit_store(k);
    iw_cleanup_free char *commit = simple(k, "simple"),
                         *url = iw_format("%s/git/simple.git", k->url), *src = kit_path(k, "src");
    iw_source source = source_of(url, commit, NULL);
    char digest[IW_SHA256_HEX];
    kit_forget(k);
    learn(k, &source, digest);
    unsigned asked = kit_requests(k, "/git/simple.git/");
    assert_true(asked >= 2);
    kit_ok(fetch(k, &source, &err));
    assert_int_equal(kit_requests(k, "/git/simple.git/"), asked); /* the commit is here already */
    iw_recipe recipe = {.name = "g", .sources = &source, .source_count = 1};
    kit_ok(iw_source_lay(store, &recipe, &source, src, &err));
    expect_file(src, "README", "hello\r\n");
    expect_file(src, "deep/er/x.c", "int x; /* $Id$ */\n"); /* no filter ran */
    struct stat status;
    iw_cleanup_free char *program = iw_path_join(src, "bin/run"), *link = iw_path_join(src, "link"),
                         *hidden = iw_path_join(src, ".git");
    assert_int_equal(stat(program, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0755);
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    assert_false(iw_exists(hidden));
    /* what is stored is the deterministic tar: its digest is that of the tree as it lies here */
    char content[IW_SHA256_HEX];
    kit_ok(iw_archive_digest(src, content, &err));
    assert_string_equal(content, digest);
    kit_ok(iw_remove_tree(src, &err));
    iw_cleanup_free char *tmp = iw_store_path(store, "tmp", "");
    const char *find[] = {"find", tmp, "-name", "git-*", NULL};
    iw_cleanup_free char *left = kit_run(find, NULL);
    assert_string_equal(left, "");
}

static void brings_submodules_at_their_commits(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_store *store = kit_store(k);
    iw_cleanup_free char *old = simple(k, "inner"), *inner = kit_path(k, "git/inner"),
                         *outer = new_work(k, "outer"), *middle = new_work(k, "middle");
    /* outer has middle (absolute address), which has inner (relative address), at inner's first
     * commit */
    iw_cleanup_free char *index_inner =
        iw_format("update-index --add --cacheinfo 160000,%s,sub/inner", old);
    kit_text(k, "git/middle/.gitmodules",
             "[submodule \"x\"]\n\tpath = sub/inner\n\turl = ../inner.git\n[submodule "
             "\"y\"]\n\turl = http://127.0.0.1:1/\n\tpath = sub\n");
    kit_text(k, "git/middle/m", "middle");
    run_git(middle, "add .");
    run_git(middle, index_inner);
    run_git(middle, "commit -q -m middle");
    iw_cleanup_free char
        *middle_commit = publish(k, "middle"),
        *index_middle = iw_format("update-index --add --cacheinfo 160000,%s,middle", middle_commit),
        *modules = iw_format("[submodule \"middle\"]\n  path = middle\n  url = %s/git/middle.git\n",
                             k->url);
    kit_text(k, "git/outer/.gitmodules", modules);
    run_git(outer, "add .");
    run_git(outer, index_middle);
    run_git(outer, "commit -q -m outer");
    iw_cleanup_free char *commit = publish(k, "outer"),
                         *url = iw_format("%s/git/outer.git", k->url), *src = kit_path(k, "src");
    kit_text(k, "git/inner/README", "newer"); /* inner goes on: not what was pinned */
    run_git(inner, "commit -q -a -m two");
    iw_cleanup_free char *new = publish(k, "inner");
    assert_string_not_equal(old, new);

    iw_source source = source_of(url, commit, NULL);
    char digest[IW_SHA256_HEX], without[IW_SHA256_HEX];
    source.submodules = true;
    learn(k, &source, digest);
    kit_ok(fetch(k, &source, &err));
    iw_recipe recipe = {.name = "g", .sources = &source, .source_count = 1};
    kit_ok(iw_source_lay(store, &recipe, &source, src, &err));
    expect_file(src, "middle/m", "middle");
    expect_file(src, "middle/sub/inner/README", "hello\r\n");
    kit_ok(iw_remove_tree(src, &err));
    source.submodules = false;
    learn(k, &source, without);
    assert_string_not_equal(digest, without);
    kit_ok(fetch(k, &source, &err));
    kit_ok(iw_source_lay(store, &recipe, &source, src, &err));
    iw_cleanup_free char *empty = iw_path_join(src, "middle");
    assert_int_equal(rmdir(empty), 0); /* an empty folder, as git leaves it */
    kit_ok(iw_remove_tree(src, &err));
}

static void refuses_other_transports(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *commit = simple(k, "local"), *path = iw_format("%s/local.git", k->files),
                         *file = iw_format("file://%s", path), *canary = kit_path(k, "canary"),
                         *ext = iw_format("ext::touch %s", canary);
    static const char digest[] = "0000000000000000000000000000000000000000000000000000000000000000";
    const char *const urls[] = {file,
                                path,
                                "git://127.0.0.1:1/x",
                                ext,
                                "user@127.0.0.1:x",
                                "ftp://127.0.0.1/x",
                                "-u./x",
                                "../local.git",
                                "HTTP+unix://x"};
    for (size_t i = 0; i < sizeof urls / sizeof *urls; i++) {
        iw_source source = source_of(urls[i], commit, digest);
        kit_fails_with(fetch(k, &source, &err), IW_E_RECIPE,
                       "only http, https and ssh are fetched");
        /* and as a submodule */
        iw_cleanup_free char *work = new_work(k, "evil"),
                             *modules =
                                 iw_format("[submodule \"x\"]\n\tpath = x\n\turl = %s\n", urls[i]),
                             *index =
                                 iw_format("update-index --add --cacheinfo 160000,%s,x", commit),
                             *url = iw_format("%s/git/evil.git", k->url);
        if (urls[i][0] == '.') continue; /* relative to an http address: that is fine */
        kit_text(k, "git/evil/.gitmodules", modules);
        run_git(work, "add .");
        run_git(work, index);
        run_git(work, "commit -q -m evil");
        iw_cleanup_free char *evil = publish(k, "evil");
        source = source_of(url, evil, digest);
        source.submodules = true;
        kit_fails_with(fetch(k, &source, &err), IW_E_FORMAT,
                       "only http, https and ssh are fetched");
        kit_has(err.message, "the submodule x");
    }
    assert_false(iw_exists(canary));
    iw_source source = source_of("ssh://nobody@127.0.0.1:1/x", commit,
                                 digest); /* allowed, but nothing listens there */
    kit_fails_with(fetch(k, &source, &err), IW_E_NETWORK, "127.0.0.1:1/x");
    iw_error_clear(&err);
}

static void names_a_missing_commit(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *commit = simple(k, "short"), *url = iw_format("%s/git/short.git", k->url),
                         *gone = iw_format("%s/git/gone.git", k->url);
    static const char digest[] = "0000000000000000000000000000000000000000000000000000000000000000",
                      other[] = "1234567890123456789012345678901234567890";
    iw_source source = source_of(url, other, digest);
    kit_fails_with(fetch(k, &source, &err), IW_E_NOT_FOUND,
                   "has no commit 1234567890123456789012345678901234567890");
    kit_forget(k);
    source = source_of(gone, commit, digest);
    kit_fails_with(fetch(k, &source, &err), IW_E_NETWORK, "404");
    assert_int_equal(kit_requests(k, "gone.git"), 1); /* that won't pass */
    iw_error_clear(&err);
}

/* Nothing of the user's git configuration may change what is fetched, or from where. */
static void ignores_the_users_configuration(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *commit = simple(k, "config"),
                         *url = iw_format("%s/git/config.git", k->url),
                         *home = kit_path(k, "githome"), *canary = kit_path(k, "canary"),
                         *config = iw_format(
                             "[url \"http://127.0.0.1:1/\"]\n\tinsteadOf = %s/\n[http]\n\tproxy = "
                             "http://127.0.0.1:1\n[credential]\n\thelper = \"!touch %s\"\n"
                             "[core]\n\tautocrlf = true\n\tfsmonitor = touch %s\n[filter "
                             "\"x\"]\n\tsmudge = touch %s\n",
                             k->url, canary, canary, canary);
    kit_text(k, "githome/.gitconfig", config);
    kit_text(k, "githome/.config/git/config", config);
    setenv("HOME", home, 1);
    iw_source source = source_of(url, commit, NULL);
    char digest[IW_SHA256_HEX];
    learn(k, &source, digest);
    kit_ok(fetch(k, &source, &err));
    assert_false(iw_exists(canary));
    setenv("HOME", "/nonexistent", 1);
}

static void leaves_a_server_that_hangs(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *url = iw_format("%s/silent/x.git", k->url);
    static const char digest[] = "0000000000000000000000000000000000000000000000000000000000000000",
                      commit[] = "1234567890123456789012345678901234567890";
    iw_source source = source_of(url, commit, digest);
    iw_fetch_options options = {.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 1};
    kit_forget(k);
    double start = kit_now();
    kit_fails_with(iw_git_fetch(k->store, &source, &options, &err), IW_E_NETWORK,
                   "nothing came from the server for 1 seconds");
    assert_int_equal(kit_requests(k, "/silent/x.git"), 3);
    assert_true(kit_now() - start < 20);
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    options.stall = 60;
    options.cancel = ends[0];
    pid_t pid = fork();
    if (pid == 0) {
        usleep(300000);
        (void)!write(ends[1], "x", 1);
        _exit(0);
    }
    start = kit_now();
    kit_fails_with(iw_git_fetch(k->store, &source, &options, &err), IW_E_CANCELLED,
                   "run the same command again");
    assert_true(kit_now() - start < 10);
    waitpid(pid, NULL, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), 0); /* only the server is left */
    close(ends[0]), close(ends[1]);
    iw_error_clear(&err);
}

static void fetches_again_what_was_damaged(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *commit = simple(k, "damaged"),
                         *url = iw_format("%s/git/damaged.git", k->url);
    iw_source source = source_of(url, commit, NULL);
    char digest[IW_SHA256_HEX];
    learn(k, &source, digest);
    iw_cleanup_free char *clones = iw_store_path(k->store, "git", "");
    const char *find[] = {"find", clones, "-name", "*.pack", NULL};
    iw_cleanup_free char *packs = kit_run(find, NULL);
    assert_true(*packs);
    packs[strcspn(packs, "\n")] = 0;
    struct stat status;
    assert_int_equal(stat(packs, &status), 0);
    assert_int_equal(chmod(packs, 0644), 0);
    int fd = open(packs, O_RDWR | O_CLOEXEC);
    char zeros[64] = "";
    for (off_t at = 12; at + 64 < status.st_size - 20; at += 64)
        assert_int_equal(pwrite(fd, zeros, 64, at), 64);
    close(fd);
    kit_ok(fetch(k, &source, &err)); /* found out, thrown away, and fetched anew */
    bool has = false;
    kit_ok(iw_store_has_source(k->store, digest, &has, &err));
    assert_true(has);
}

/* Trees that no git program would write: an entry twice, first as a link, then as a folder to write
 * through; names that lead out. */
static void refuses_hostile_trees(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *outside = kit_path(k, "outside");
    assert_int_equal(mkdir(outside, 0755), 0);
    static const struct {
        const char *script, *part;
    } bad[] = {
        {"b=$(echo evil | git hash-object -w --stdin); l=$(printf %s \"$1\" | git hash-object -w "
         "--stdin);"
         "t=$(printf '100644 blob %s\\tf\\n' $b | git mktree); printf '120000 a\\0%b40000 a\\0%b' "
         "\"$(echo $l | sed 's/../\\\\x&/g')\" \"$(echo $t | sed 's/../\\\\x&/g')\"",
         "can't make the folder"},
        {"b=$(echo evil | git hash-object -w --stdin); printf '100644 ..\\0%b' \"$(echo $b | sed "
         "'s/../\\\\x&/g')\"",
         "can't be written safely"},
        {"b=$(echo evil | git hash-object -w --stdin); printf '100644 .GIT\\0%b' \"$(echo $b | sed "
         "'s/../\\\\x&/g')\"",
         "can't be written safely"},
        {"b=$(echo evil | git hash-object -w --stdin); printf '100644 x/../../y\\0%b' \"$(echo $b "
         "| sed 's/../\\\\x&/g')\"",
         "can't be written safely"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        iw_cleanup_free char *work = new_work(k, "hostile"),
                             *url = iw_format("%s/git/hostile.git", k->url),
                             *bare = iw_format("%s/hostile.git", k->files);
        iw_cleanup_free char *script = iw_format(
            "cd \"$2\" && { %s; } > tree && t=$(git hash-object -t tree -w --literally --stdin < "
            "tree) && c=$(git commit-tree -m x $t) && "
            "git update-ref refs/heads/main $c && rm -rf \"$3\" && cp -R .git \"$3\" && echo $c",
            bad[i].script);
        const char *argv[] = {"bash", "-c", script, "bash", outside, work, bare, NULL};
        iw_cleanup_free char *commit = kit_run(argv, git_environment);
        commit[strcspn(commit, "\n")] = 0;
        static const char digest[] =
            "0000000000000000000000000000000000000000000000000000000000000000";
        iw_source source = source_of(url, commit, digest);
        kit_store(k);
        iw_error_clear(&err);
        assert_int_equal(fetch(k, &source, &err), -1);
        kit_has(err.message, bad[i].part);
        const char *find[] = {"find", outside, "-type", "f", NULL};
        iw_cleanup_free char *written = kit_run(find, NULL);
        assert_string_equal(written, "");
    }
    iw_error_clear(&err);
}

/* Submodules that hold each other, and deeper ones than anybody has. */
static void bounds_submodules(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    kit_store(k);
    iw_cleanup_free char *below = simple(k, "level0");
    iw_cleanup_free char *commit = iw_strdup(below);
    for (int i = 1; i <= 10; i++) {
        iw_cleanup_free char *name = iw_format("level%d", i), *work = new_work(k, name),
                             *path = iw_format("git/%s/.gitmodules", name),
                             *modules = iw_format(
                                 "[submodule \"s\"]\n\tpath = s\n\turl = ../level%d.git\n", i - 1),
                             *index =
                                 iw_format("update-index --add --cacheinfo 160000,%s,s", commit);
        kit_text(k, path, modules);
        run_git(work, "add .");
        run_git(work, index);
        run_git(work, "commit -q -m level");
        free(commit);
        commit = publish(k, name);
    }
    iw_cleanup_free char *url = iw_format("%s/git/level10.git", k->url);
    static const char digest[] = "0000000000000000000000000000000000000000000000000000000000000000";
    iw_source source = source_of(url, commit, digest);
    source.submodules = true;
    kit_fails_with(fetch(k, &source, &err), IW_E_FORMAT, "nested more than 8 deep");
    iw_error_clear(&err);
}

/* `fetch --check` says of a repository what its list of branches and tags tells. */
static void expect_answer(kit *k, const iw_source *source, const char *state, const char *compared,
                          const char *detail)
{
    iw_error err = IW_ERROR_INIT;
    iw_source_answers answers = {0};
    iw_fetch_options options = {.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 30};
    iw_recipe recipe = {.name = "g", .version = "1", .sources = source, .source_count = 1};
    iw_wanted wanted = {.recipe = &recipe, .source = source};
    kit_ok(iw_fetch_check(k->store, &wanted, 1, &options, &answers, &err));
    assert_int_equal(answers.count, 1);
    assert_string_equal(iw_source_state_name(answers.items[0].state), state);
    assert_string_equal(answers.items[0].compared, compared);
    if (detail) kit_has(answers.items[0].detail, detail);
    else assert_null(answers.items[0].detail);
    iw_source_answers_free(&answers);
}

static void asks_a_repository(void **state)
{
    kit *k = *state;
    kit_store(k);
    iw_cleanup_free char *commit = simple(k, "asked"), *work = kit_path(k, "git/asked"),
                         *url = iw_format("%s/git/asked.git", k->url),
                         *gone = iw_format("%s/plain/nothing.git", k->url);
    static const char digest[] = "0000000000000000000000000000000000000000000000000000000000000000";
    iw_source at_an_end = source_of(url, commit, digest), lost = source_of(gone, commit, digest),
              by_ssh = source_of("git@127.0.0.1:x.git", commit, digest);
    expect_answer(k, &at_an_end, "there", "digest", NULL);
    run_git(work, "commit -q --allow-empty -m two");
    iw_cleanup_free char *later = publish(k, "asked");
    expect_answer(k, &at_an_end, "there", "nothing", "known only by fetching");
    expect_answer(k, &lost, "gone", "nothing", "404");
    expect_answer(k, &by_ssh, "unknown", "nothing", "by ssh isn't asked");
}

static void lists_tags(void **state)
{
    kit *k = *state;
    iw_error err = IW_ERROR_INIT;
    iw_cleanup_free char *work = iw_format("%s/git/tagged", k->folder),
                         *first = simple(k, "tagged"),
                         *url = iw_format("%s/git/tagged.git", k->url),
                         *gone = iw_format("%s/git/nothing.git", k->url);
    iw_fetch_options options = {.cancel = -1, .sink = &k->sink, .backoff = 0.01, .stall = 30};
    iw_cleanup_strings iw_strings names = {0}, commits = {0};
    run_git(work, "tag v1");
    run_git(work, "commit -q --allow-empty -m two");
    run_git(work, "tag -a -m annotated v2");
    iw_cleanup_free char *second = publish(k, "tagged");
    kit_ok(iw_fetch_tags(url, &options, &names, &commits, &err));
    assert_int_equal(names.count, 2);
    assert_string_equal(names.items[0], "v1");
    assert_string_equal(commits.items[0], first);
    assert_string_equal(names.items[1], "v2");
    assert_string_equal(commits.items[1], second); /* not the tag's own object */
    kit_fails(iw_fetch_tags(gone, &options, &names, &commits, &err), IW_E_NETWORK, "can't fetch");
    kit_fails(iw_fetch_tags("/etc", &options, &names, &commits, &err), IW_E_RECIPE, "not /etc");
    /* The digest of a commit that no recipe pins yet is what a fetch then asks for. */
    iw_source source = source_of(url, first, NULL);
    char digest[IW_SHA256_HEX];
    kit_ok(iw_fetch_git_digest(k->store, &source, second, &options, digest, &err));
    source.commit = second;
    source.sha256 = digest;
    kit_ok(fetch(k, &source, &err));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(brings_a_tree),
        cmocka_unit_test(brings_submodules_at_their_commits),
        cmocka_unit_test(refuses_other_transports),
        cmocka_unit_test(names_a_missing_commit),
        cmocka_unit_test(ignores_the_users_configuration),
        cmocka_unit_test(leaves_a_server_that_hangs),
        cmocka_unit_test(fetches_again_what_was_damaged),
        cmocka_unit_test(refuses_hostile_trees),
        cmocka_unit_test(bounds_submodules),
        cmocka_unit_test(asks_a_repository),
        cmocka_unit_test(lists_tags),
    };
    return cmocka_run_group_tests_name("fetch: git", tests, kit_group_setup, kit_group_teardown);
}
