audit_SOURCES :=
audit_TESTS :=
audit_USES := base
