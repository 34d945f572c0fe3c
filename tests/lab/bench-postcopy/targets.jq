# SPDX-License-Identifier: LGPL-2.1-or-later
# All cases of all runs (jq -s) -> build/bench/postcopy.json. $work: what plot.py printed, $link
# and $fault_link: Mbit/s between the hosts.
# A row whose cases did not run is left out; one whose case met with trouble says which.

def median: map(numbers) | sort | if length == 0 then null
    elif length % 2 == 1 then .[(length - 1) / 2]
    else (.[length / 2] + .[length / 2 - 1]) / 2 end;
def round3: . * 1000 | round / 1000;

. as $all
| def cases($name): $all | map(select(.case == $name));
  def med($name; f): cases($name) | map(select(.trouble == null) | f) | median;
  def trouble($name): cases($name) | map(.trouble // empty) | first;
  # a / b, each of one case; the row is there if both cases ran.
  def ratio($name; $required; $of; $a; $to; $b):
    if (cases($of) | length) == 0 or (cases($to) | length) == 0 then empty
    else {name: $name, required: $required,
          measured: (if $a == null or $b == null or $b == 0 then null else $a / $b end)}
        | .met = (.measured != null and .measured <= $required)
        | if .measured == null then
            .why = (([trouble($of), trouble($to)] | map(values) | first) // "a figure is missing")
          else . end
    end;
  # Pages asked for over the network, of those that the workload touched in PULL.
  def share: if (.pages // 0) == 0 then null else (.report.pull.requested // 0) / .pages end;
  def shares($how): {seq: med($how + "-seq"; share), stride: med($how + "-stride"; share),
                     random: med($how + "-random"; share)};

  {runs: ($all | map(.run) | max), link_mbit: $link, fault_link_mbit: $fault_link,
   targets: [
    ratio("total time, post-copy of a busy guest / pre-copy of the same guest idle"; 1.5;
        "postcopy"; med("postcopy"; .total_s); "idle"; med("idle"; .total_s)),
    ratio("total time, hybrid move of a busy guest / pre-copy of the same guest idle"; 1.5;
        "hybrid"; med("hybrid"; .total_s); "idle"; med("idle"; .total_s)),
    ratio("downtime, hybrid / stock"; 0.1;
        "hybrid"; med("hybrid"; .downtime_s); "stock"; med("stock"; .downtime_s)),
    ratio("downtime, hybrid / hybrid with a quarter of the memory in use"; 1.2;
        "hybrid"; med("hybrid"; .downtime_s);
        "hybrid-quarter"; med("hybrid-quarter"; .downtime_s)),
    ratio("fault time, median, while all is pushed / while nothing is"; 2;
        "adaptive-random"; med("adaptive-random"; .report.pull.fault_median_s);
        "fault-idle"; med("fault-idle"; .quiet.fault_median_s)),
    (if (cases("adaptive-seq") | length) == 0 then empty
     else {name: "pages asked for / pages touched in PULL, sequential", required: 0.05,
           measured: shares("adaptive").seq}
        | .met = (.measured != null and .measured <= .required)
        | if .measured == null then .why = (trouble("adaptive-seq") // "a figure is missing")
          else . end
     end)],
   faults: {
    idle: {n: med("fault-idle"; .quiet.faults), median_s: med("fault-idle"; .quiet.fault_median_s),
           p99_s: med("fault-idle"; .quiet.fault_p99_s)},
    pushing: {n: med("adaptive-random"; .report.pull.faults),
              median_s: med("adaptive-random"; .report.pull.fault_median_s),
              p99_s: med("adaptive-random"; .report.pull.fault_p99_s)}},
   asked_for: {adaptive: shares("adaptive"), linear: shares("linear")},
   # What a page costs, where the report says it: microseconds of each step.
   page_us: (["postcopy", "hybrid"] | map({key: ., value: (cases(.) | map(.report.pull.page_us // empty)
        | last)}) | from_entries),
   pull_pages_per_s: (["postcopy", "hybrid"] | map({key: ., value: med(.;
        if .report.pull then .report.pull.left_out / .report.phase_s.PULL | round3 else null end)})
        | from_entries),
   work: $work,
   moves: ($all | group_by(.case) | map({case: .[0].case,
        total_s: (map(.total_s) | median), downtime_s: (map(.downtime_s) | median),
        engine_downtime_s: (map(.report.downtime_s?) | median),
        left_out: (map(.report.pull.left_out?) | median), pull_s: (map(.report.phase_s.PULL?) | median),
        trouble: (map(.trouble // empty) | first)})),
   cases: $all}
