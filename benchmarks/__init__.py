"""Speed, memory and faults beside other programs; `README.md` says how to run the benchmarks and what they found."""
