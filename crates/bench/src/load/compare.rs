//! The floor and the target in turns, so that what else goes on at the machine meets both.

use serde::{Deserialize, Serialize};

use super::latency::median;
use super::report::Report;

/// What was measured in turns: a floor run, then a target and a floor run each time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// One more than targets.
    pub floors: Vec<Report>,
    /// The server that is compared.
    pub targets: Vec<Report>,
}

/// One figure in all runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Figure {
    /// What it is.
    pub name: &'static str,
    /// Median over the floor runs.
    pub floor: f64,
    /// Median over the target runs.
    pub target: f64,
    /// Each target run against the mean of the floor runs before and after it; in order of size.
    pub ratios: Vec<f64>,
}

impl Figure {
    /// Median of the ratios.
    pub fn ratio(&self) -> f64 {
        median(&self.ratios)
    }
}

impl Comparison {
    /// What is compared.
    pub fn figures(&self) -> Vec<Figure> {
        vec![
            self.figure("CPU a delivery, µs", |report| report.server_cpu_us_per_delivery),
            self.figure("messages a read", |report| report.messages_per_read),
            self.figure("latency p50, ms", |report| report.latency.p50_ms),
            self.figure("latency p99, ms", |report| report.latency.p99_ms),
            self.figure("deliveries a second", |report| report.deliveries_per_second),
            self.figure("memory a connection, KiB", |report| report.server_kib_per_connection),
        ]
    }

    fn figure(&self, name: &'static str, of: impl Fn(&Report) -> f64) -> Figure {
        let floors: Vec<f64> = self.floors.iter().map(&of).collect();
        let targets: Vec<f64> = self.targets.iter().map(&of).collect();
        let neighbours = floors.windows(2).map(|pair| (pair[0] + pair[1]) / 2.0);
        let mut ratios: Vec<f64> =
            targets.iter().zip(neighbours).map(|(target, floor)| target / floor).collect();
        ratios.retain(|ratio| ratio.is_finite());
        ratios.sort_by(f64::total_cmp);
        Figure { name, floor: median(&floors), target: median(&targets), ratios }
    }

    /// Whether every run was without a fault.
    pub fn is_clean(&self) -> bool {
        self.floors.iter().chain(&self.targets).all(Report::is_clean)
    }

    /// The table that `roomcast bench compare` prints.
    pub fn table(&self) -> String {
        let title = self.targets.first().map(|report| &*report.title).unwrap_or_default();
        let mut out = format!(
            "\n{title}\nmedians of {} runs, each between two runs of the floor\n\n  {:<26}{:>10}{:>10}{:>8}   each\n",
            self.targets.len(),
            "",
            "floor",
            "target",
            "ratio"
        );
        for figure in self.figures() {
            let each: Vec<String> = figure.ratios.iter().map(|ratio| format!("{ratio:.2}")).collect();
            out += &format!(
                "  {:<26}{:>10.2}{:>10.2}{:>8.2}   {}\n",
                figure.name,
                figure.floor,
                figure.target,
                figure.ratio(),
                each.join(" ")
            );
        }
        let counts = |of: fn(&Report) -> u64| self.targets.iter().map(of).sum::<u64>();
        out += &format!(
            "\n  target, all runs: {} delivered, {} lost, {} duplicated, {} out of order\n",
            counts(|report| report.counts.delivered),
            counts(|report| report.counts.lost),
            counts(|report| report.counts.duplicated),
            counts(|report| report.counts.out_of_order)
        );
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(cpu: f64) -> Report {
        Report { server_cpu_us_per_delivery: cpu, ..Report::default() }
    }

    #[test]
    fn each_target_against_its_own_floors() {
        let comparison = Comparison {
            floors: [4.0, 6.0, 2.0, 2.0].map(report).to_vec(),
            targets: [10.0, 4.0, 3.0].map(report).to_vec(),
        };
        let cpu = &comparison.figures()[0];
        assert_eq!(cpu.ratios, [1.0, 1.5, 2.0]);
        assert_eq!((cpu.floor, cpu.target, cpu.ratio()), (3.0, 4.0, 1.5));
        let memory = &comparison.figures()[5];
        assert!(memory.ratios.is_empty(), "nothing against nothing is no ratio");
        assert!(comparison.table().contains("1.00 1.50 2.00"));
    }
}
