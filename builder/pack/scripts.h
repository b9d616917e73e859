/* The texts that a bundle gets: activate scripts, README. Internal to `pack`. */
#ifndef IW_PACK_SCRIPTS_H
#define IW_PACK_SCRIPTS_H

extern const char iw_activate_sh[], iw_activate_fish[], iw_activate_csh[];

#endif
