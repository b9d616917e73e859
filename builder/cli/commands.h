/* The commands; each stands in the file of its name. Internal to `cli`. */
#ifndef IW_CLI_COMMANDS_H
#define IW_CLI_COMMANDS_H

#include "cli/context.h"
#include "cli/session.h"

extern const iw_command_spec iw_command_build, iw_command_plan, iw_command_fetch, iw_command_why,
    iw_command_log, iw_command_shell, iw_command_list, iw_command_pack, iw_command_unpack,
    iw_command_diff, iw_command_cache, iw_command_gc, iw_command_doctor, iw_command_toolchain_show,
    iw_command_toolchain_update, iw_command_audit, iw_command_run, iw_command_verify,
    iw_command_triage, iw_command_bump, iw_command_patches, iw_command_profile,
    iw_command_completion, iw_command_man, iw_command_new, iw_command_heal, iw_command_check;

/* Sharing. */
extern const iw_command_spec iw_command_keygen, iw_command_trust_add, iw_command_trust_list,
    iw_command_trust_remove, iw_command_trust_revoke, iw_command_push, iw_command_pull,
    iw_command_remote_add, iw_command_remote_list, iw_command_remote_remove, iw_command_remote_test,
    iw_command_serve, iw_command_challenge, iw_command_jobs, iw_command_withdraw;

#endif
