#!/bin/sh
# Makes a release of a file and promotes it to one environment; waits for the end. POSIX sh and curl >= 7.55.
#
#   promote.sh weather:v1 api/weather.json staging
#   promote.sh weather:v1 api/weather.json prod '{"waves": [["eu-west"], ["us-east", "ap-south"]], "soak": 300}'
#
# The file is what POST /v1/apis/:api/releases takes: {"definition": ...} as *.json, or an OpenAPI document as *.yaml. The same file is
# the same release every time, so what is asked for prod is what was tested in staging, or it is refused.
#
#   HELIO_MASTER   https://heliograph.example
#   HELIO_TOKEN    of a publisher
#   HELIO_RUN      names this run of the pipeline: asked again in the same run, it is the same promotion
#   HELIO_QUERY    for an OpenAPI document, what it does not say: upstream=https://weather.internal&plans=gold
#   HELIO_SECONDS  how long it waits for the end, 3600 unless told
#
# Ends with 0: it serves. 1: it was rolled back or rejected; nothing is left of it. 2: it was refused, could not be asked for, or has not
# ended in time and goes on.
set -u

usage() { echo "$1; usage: promote.sh API FILE ENVIRONMENT [STRATEGY]" >&2; exit 2; }
[ $# -eq 3 ] || [ $# -eq 4 ] || usage "3 or 4 arguments are needed, and there are $#"
api=$1 file=$2 environment=$3 strategy=${4:-'{}'}
[ -r "$file" ] || usage "$file cannot be read"
case $file in
  *.json) type=application/json ;;
  *.yaml | *.yml) type=application/yaml ;;
  *) usage "$file is neither *.json nor *.yaml" ;;
esac
: "${HELIO_MASTER:?is not set}" "${HELIO_TOKEN:?is not set}" "${HELIO_RUN:?is not set}"
deadline=$(($(date +%s) + ${HELIO_SECONDS:-3600}))

umask 077
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
trap 'exit 2' INT TERM
printf 'Authorization: Bearer %s\n' "$HELIO_TOKEN" > "$work/token" # not among the arguments, which others on this machine can see
: > "$work/events"

# ask PATH [curl's options]: the answer is in $work/body, its head in $work/head, its status in $status. What may be asked again is.
ask() {
  path=$1
  shift
  while :; do
    status=$(curl -sS -o "$work/body" -D "$work/head" -w '%{http_code}' --connect-timeout 10 --max-time 60 \
      -H "@$work/token" "$@" "$HELIO_MASTER/v1$path" 2> "$work/error") || status=000
    case $status in
      000 | 425 | 429 | 5??) ;;
      *) return 0 ;;
    esac
    [ "$(date +%s)" -lt "$deadline" ] || out_of_time
    sleep 2
  done
}
out_of_time() {
  echo "no end within ${HELIO_SECONDS:-3600} s" >&2
  if [ -n "$id" ]; then
    waits=$(sed -nE 's/.*"waitsFor":"(([^"\\]|\\.)*)".*/, and waits for: \1/p' "$work/body")
    echo "the promotion $id goes on$waits" >&2
    echo "POST /v1/promotions/$id/abort with {\"reason\": \"...\"} gives it up" >&2
  fi
  cat "$work/error" >&2
  exit 2
}
refused() {
  echo "$1 was answered $status:" >&2
  cat "$work/body" >&2
  echo >&2
  exit 2
}
id=

ask "/apis/$api/releases${HELIO_QUERY:+?$HELIO_QUERY}" -H "Content-Type: $type" --data-binary "@$file"
case $status in 200 | 201) ;; *) refused 'the release' ;; esac
release=$(sed -n 's/^{"digest":"\([0-9a-f]\{64\}\)".*/\1/p' "$work/body")
[ -n "$release" ] || refused 'the release'
echo "release $release of $api"

ask /promotions -H 'Content-Type: application/json' -H "Idempotency-Key: $HELIO_RUN-$api-$environment" \
  -d "{\"api\":\"$api\",\"release\":\"$release\",\"to\":\"$environment\",\"strategy\":$strategy}"
if [ "$status" = 409 ] && grep -q '"code":"promotion_open"' "$work/body"; then
  # of an earlier run that was broken off, perhaps: of this very release its end is as good
  id=$(sed -n 's|^[Ll]ink: </v1/promotions/\([0-9a-f-]*\)>.*|\1|p' "$work/head")
  cp "$work/body" "$work/problem"
  ask "/promotions/$id"
  if [ "$status" != 200 ] || ! grep -q "\"releases\":\[{\"api\":\"$api\",\"release\":\"$release\"}\]" "$work/body"; then
    cp "$work/problem" "$work/body"
    status=409
    refused 'the promotion'
  fi
  echo "promotion $id of this release is under way"
else
  case $status in 201 | 202) ;; *) refused 'the promotion' ;; esac
  id=$(sed -n 's/^{"id":"\([0-9a-f-]*\)".*/\1/p' "$work/body")
  [ -n "$id" ] || refused 'the promotion'
  echo "promotion $id to $environment"
fi

# Each step as it happens; a connection that breaks is taken up after the last event that came.
while :; do
  left=$((deadline - $(date +%s)))
  [ "$left" -ge 1 ] || left=1
  last=$(sed -n 's/^id: //p' "$work/events" | tail -n 1)
  curl -sSN --connect-timeout 10 --max-time "$left" --fail -H "@$work/token" -H "Last-Event-ID: ${last:-0}" \
    "$HELIO_MASTER/v1/promotions/$id/events" 2> "$work/error" | tee -a "$work/events" |
    while IFS= read -r line; do
      case $line in 'data: '*) printf '  %s\n' "${line#data: }" ;; esac # at once: sed would keep lines back
    done
  ask "/promotions/$id"
  [ "$status" = 200 ] || refused "the promotion $id"
  state=$(sed -n 's/.*,"state":"\([a-z-]*\)","wave":.*/\1/p' "$work/body")
  case $state in
    completed)
      echo "completed: $release serves in $environment"
      exit 0
      ;;
    rolled-back | rejected)
      echo "$state: $(sed -nE 's/.*"because":\{.*"detail":"(([^"\\]|\\.)*)".*/\1/p' "$work/body")" >&2
      exit 1
      ;;
  esac
  [ "$(date +%s)" -lt "$deadline" ] || out_of_time
  sleep 2
done
