"""The Compose language against the real Compose: what its `config` prints, ours prints.

    cases/**/NAME.yaml   a case: one file, run from its directory with `-f`
    cases/**/NAME/       a case of several files: run in that directory, which Compose searches itself

A case may say more in comments at its top (`NAME.yaml`, or `compose.yaml` of a directory):

    # args: --profile x -f a.yaml     arguments in front of `config`; with an `-f` nothing else is named
    # env: NAME=value OTHER=value     variables of the environment
    # rejected: REASON                both refuse it, ours with this reason and a place in a file
    # stricter: RULE                  ours alone refuses it, by a rule of known.STRICTER
    # differs: RULE                   the outputs differ, by a rule of known.DIFFERENT

The two outputs are compared as JSON, as they are: no normalisation is needed.
"""
