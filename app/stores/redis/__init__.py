"""Event logs in Redis or Valkey, for any number of processes on any number of machines.

| key | content |
|---|---|
| `{prefix}:run:<id>`, a hash | the writer's term, the epochs and what each kept, the last event, times, the job |
| `{prefix}:log:<id>`, a stream | blocks of events, after the end a single one; the id is `<last event>-<epoch>` |
| `{prefix}:rewrites:<id>`, a list | parts to regenerate before the run may end |
| `{prefix}:owner:<process>`, a string that expires | a web process that has ephemeral runs, which end without it |
| `{prefix}:queue`, a stream with the group `workers` | runs that have not ended; what is pending there is leased |
| `{prefix}:active:<client>`, a set, `{prefix}:ended:<client>`, a sorted set | the client's active and ended runs |
| `{prefix}:calls:<client>`, a hash | the client's calls in a minute |
| `{prefix}:ended`, `{prefix}:expired`, sorted sets; `{prefix}:totals`, a hash | what expires next, expired ids, sizes |
| `{prefix}:hints`, a channel | tells workers at once what they would otherwise learn from the terms |
| `{prefix}:secret` | the secret that all processes share |

The braces make one hash tag of the prefix: in a cluster all keys are on one node, which the scripts need. A log only
grows: if it is reopened or taken over, later readers skip the end of the earlier epoch. Runs, jobs and blocks have a
version `v`, which is 1 where it is missing, and readers ignore fields that they do not know; so an older and a newer
Sizzle can work side by side.
"""
