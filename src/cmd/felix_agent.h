/* The node agent: plugs a datastore, the calculation and the Policy Sync server together, and runs them on one loop.
 *
 *     datastore ──► calc ──► feed ──► Policy Sync server ──► sidecars
 *         └──► settings ──► configuration (takes effect at once)
 */
#ifndef CMD_FELIX_AGENT_H
#define CMD_FELIX_AGENT_H

#include "cmd/felix_config.h"

/* Runs until SIGTERM or SIGINT. False: it could not start. */
bool felix_agent_run(struct felix_config *config, struct error *err);

#endif
