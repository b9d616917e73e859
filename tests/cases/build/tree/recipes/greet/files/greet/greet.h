const char *greeting(void);
int has_avx(void);
