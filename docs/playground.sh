# Helpers for the commands on these pages, in bash or zsh. Beside a playground's playground.json:   . docs/playground.sh
#
#   post PATH [BODY]   send a body, by default what comes on standard input; show the answer and keep it
#   get PATH           show the answer and keep it
#   pick NAME...       print a member of the last answer: pick card cardId, pick cards 0 cardId
#
# In a pipe (post ... | grep ...) the answer is shown but not kept: call first, then pick.

show() { python3 -m json.tool <<< "$ANSWER"; }
get()  { ANSWER=$(curl -sS "$BASE$1" -H "Authorization: Bearer $KEY") && show; }
post() { ANSWER=$(curl -sS "$BASE$1" -H "Authorization: Bearer $KEY" -H 'Content-Type: application/json' \
                  -d "${2-@-}") && show; }
pick() { python3 -c 'import json, sys
value = json.load(sys.stdin)
try:
    for name in sys.argv[1:]: value = value[int(name) if isinstance(value, list) else name]
except (LookupError, TypeError, ValueError):
    sys.exit("The last answer has no " + " ".join(sys.argv[1:]))
print(value)' "$@" <<< "$ANSWER"; }

ANSWER=$(cat playground.json)
BASE=$(pick baseUrl) KEY=$(pick apiKey) SANDBOX=$(pick sandboxUrl)
RUN=$(date +%s)   # makes the ids on these pages new each time
