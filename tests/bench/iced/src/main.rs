//! iced-bench FILE OFFSET SIZE: decodes that part of the file three times with iced-x86 and prints the best rate, in MB for a second of this process's time.
use iced_x86::{Decoder, DecoderOptions, Instruction};

fn used() -> f64 {
    let text = std::fs::read_to_string("/proc/self/schedstat").expect("schedstat");
    text.split(' ').next().expect("a number").parse::<f64>().expect("nanoseconds") / 1e9
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let data = std::fs::read(&arguments[1]).expect("the file");
    let offset: usize = arguments[2].parse().expect("an offset");
    let size: usize = arguments[3].parse().expect("a size");
    let code = &data[offset..offset + size];
    let mut best = 0.0;
    let mut lengths = 0;
    for _ in 0..3 {
        let mut instruction = Instruction::default();
        let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
        let start = used();
        while decoder.can_decode() {
            decoder.decode_out(&mut instruction);
            lengths += instruction.len();
        }
        best = f64::max(best, size as f64 / (used() - start) / 1e6);
    }
    assert!(lengths > 0);
    println!("{best:.1}");
}
