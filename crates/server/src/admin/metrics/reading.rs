//! Values of one metric, as they are read.

use std::borrow::Cow;

use roomcast_hub::stats::BUCKETS_S;

/// What a metric has to say.
pub(super) enum Reading {
    Samples(Vec<Sample>),
    Distribution(Distribution),
}

/// The values of the labels, and the number.
pub(super) type Sample = (Vec<Cow<'static, str>>, f64);

/// How often something took how long.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Distribution {
    /// One per bound, and one for everything above; not cumulative.
    pub(super) counts: [u64; BUCKETS_S.len() + 1],
    pub(super) sum_s: f64,
}

/// A number without labels.
pub(super) fn one(value: f64) -> Reading {
    Reading::Samples(vec![(Vec::new(), value)])
}

/// A number for each item of a list.
pub(super) fn by<T: Copy>(
    items: impl IntoIterator<Item = T>,
    name: impl Fn(T) -> &'static str,
    value: impl Fn(T) -> u64,
) -> Reading {
    let sample = |item: T| (vec![Cow::Borrowed(name(item))], value(item) as f64);
    Reading::Samples(items.into_iter().map(sample).collect())
}

/// A number for each pair of items of two lists.
pub(super) fn by_two<A: Copy, B: Copy>(
    first: &[A],
    second: &[B],
    first_name: fn(A) -> &'static str,
    second_name: fn(B) -> &'static str,
    value: impl Fn(A, B) -> u64,
) -> Reading {
    let mut samples = Vec::with_capacity(first.len() * second.len());
    for a in first {
        for b in second {
            let labels = vec![Cow::Borrowed(first_name(*a)), Cow::Borrowed(second_name(*b))];
            samples.push((labels, value(*a, *b) as f64));
        }
    }
    Reading::Samples(samples)
}

/// A number for each core, which are known by their numbers.
pub(super) fn per_place(values: impl Iterator<Item = f64>) -> Reading {
    let sample = |(place, value): (usize, f64)| (vec![Cow::Owned(place.to_string())], value);
    Reading::Samples(values.enumerate().map(sample).collect())
}

/// What all shards have counted by codes or statuses; 0 stands for all that are not listed.
pub(super) fn by_number(counts: impl Iterator<Item = (u16, u64)>) -> Reading {
    let mut sums: Vec<(u16, u64)> = Vec::new();
    for (number, count) in counts {
        match sums.iter_mut().find(|(known, _)| *known == number) {
            Some((_, sum)) => *sum += count,
            None => sums.push((number, count)),
        }
    }
    let name = |number: u16| match number {
        0 => Cow::Borrowed("other"),
        number => Cow::Owned(number.to_string()),
    };
    Reading::Samples(sums.into_iter().map(|(number, count)| (vec![name(number)], count as f64)).collect())
}
