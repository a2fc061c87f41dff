// Simulates a mapped netlist for 64 samples at once, one in each bit of a word, and counts every
// toggle of every net for each of them. `kinds.h`, generated from the library, has a function a kind
// of cell; the netlist comes as arrays.
//
// A cycle: inputs change, cells settle (in order of depth, so each is evaluated once; or all at once
// and again until nothing moves, a unit of time each), what toggled is counted, the clock rises.

#include <array>
#include <cstdint>
#include <cstring>
#include <vector>

using Word = uint64_t;
constexpr uint32_t LANES = 64, PLANES = 8, FULL = (1u << PLANES) - 1;

namespace {

#include "kinds.h"

struct Run {  // cells of one kind, side by side, none of which reads another's output
    uint32_t kind, count;
    const uint32_t* pins;
};

struct Memory {
    uint32_t depth, width, address_bits, two_ports;
    const uint32_t* nets;  // enable, write, address.., write data.., read data.. (two: see `ports`)
    std::vector<Word> bits;  // (depth, width)
    std::array<uint64_t, LANES> reads{}, writes{};
    std::vector<Word> next;  // what is read in this cycle, with `reading`
    Word reading = 0;
};

struct Stream {  // what one lane is sent
    const uint32_t *word = nullptr, *end = nullptr;
};

class Chip {
  public:
    std::vector<Word> value;
    std::vector<uint32_t> counts;  // (nets, LANES): toggles
    std::vector<uint64_t> ones;    // (nets): cycles of all lanes in which a net is one
    std::vector<Memory> memories;
    std::vector<std::vector<uint32_t>> results{LANES};
    std::array<uint64_t, LANES> moved{}, began{};
    uint64_t cycles = 0, steps = 0;
    Word measuring = 0;
    bool unit = false;

    Chip(uint32_t nets, const uint32_t* runs, uint32_t run_count, const uint32_t* pins,
         const uint32_t* flip_flops, uint32_t flip_flop_count, const uint32_t* memory, uint32_t
         memory_count, uint64_t seed)
        : value(nets), counts(uint64_t(nets) * LANES), ones(nets), before(nets), other(nets),
          planes(uint64_t(nets) * PLANES), flip_flops(flip_flops),
          flip_flop_count(flip_flop_count), states(flip_flop_count) {
        value[1] = ~Word(0);
        for (uint32_t run = 0; run < run_count; ++run, runs += 2) {
            this->runs.push_back({runs[0], runs[1], pins});
            pins += uint64_t(PINS[runs[0]]) * runs[1];
        }
        for (uint32_t number = 0; number < memory_count; ++number) {
            Memory found{memory[0], memory[1], memory[2], memory[3], memory + 4, {}};
            found.bits.resize(uint64_t(found.depth) * found.width);
            for (Word& word : found.bits) word = random(seed);
            found.next.resize(found.width);
            memory += 4 + ports(found) + 2 * found.width;
            memories.push_back(found);
        }
        for (Word& state : states) state = random(seed);
        commit();
    }

    // Settle, count, and give the lanes in which anything moved.
    void settle() {
        if (unit) {
            settle_by_units();
        } else {
            for (const Run& run : runs) KINDS[run.kind](value.data(), value.data(), run.pins, run.count);
            note();
        }
        if (measuring) {
            for (size_t net = 3; net < value.size(); ++net)
                ones[net] += __builtin_popcountll(value[net] & measuring);
        }
    }

    void rise() {
        for (uint32_t n = 0; n < flip_flop_count; ++n) states[n] = value[flip_flops[3 * n]];
        for (Memory& memory : memories) access(memory);
        commit();
        ++cycles;
    }

    void flush() {
        for (size_t net = 0; net < value.size(); ++net) {
            Word* plane = &planes[net * PLANES];
            uint32_t* count = &counts[net * LANES];
            for (uint32_t bit = 0; bit < PLANES; ++bit) {
                for (Word left = plane[bit]; left; left &= left - 1)
                    count[__builtin_ctzll(left)] += 1u << bit;
                plane[bit] = 0;
            }
        }
        noted = 0;
    }

  private:
    std::vector<Word> before, other, planes;
    std::vector<Run> runs;
    const uint32_t* flip_flops;  // (count, 3): data, output, its inverse
    uint32_t flip_flop_count;
    std::vector<Word> states;
    uint32_t noted = 0;

    static Word random(uint64_t& state) {  // SplitMix64: G. Steele, D. Lea, C. Flood (2014)
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return z ^ (z >> 31);
    }

    static uint32_t ports(const Memory& memory) {  // nets before the data
        return 2 + memory.address_bits * (1 + memory.two_ports);
    }

    void commit() {
        for (uint32_t n = 0; n < flip_flop_count; ++n) {
            value[flip_flops[3 * n + 1]] = states[n];
            value[flip_flops[3 * n + 2]] = ~states[n];
        }
        value[0] = 0, value[1] = ~Word(0);  // constants; what is open lies at net 2
        for (Memory& memory : memories) {
            const uint32_t* data = memory.nets + ports(memory) + memory.width;
            for (uint32_t bit = 0; memory.reading && bit < memory.width; ++bit) {
                Word& net = value[data[bit]];
                net = (net & ~memory.reading) | (memory.next[bit] & memory.reading);
            }
            memory.reading = 0;
        }
    }

    // Compare with what was before, and count in planes: bit p of a net's count lies in plane p.
    Word note() {
        Word any = 0;
        for (size_t net = 3; net < value.size(); ++net) {
            Word carry = value[net] ^ before[net];
            before[net] = value[net];
            any |= carry;
            carry &= measuring;
            for (Word* plane = &planes[net * PLANES]; carry; ++plane) {
                const Word both = *plane & carry;
                *plane ^= carry;
                carry = both;
            }
        }
        for (Word left = any & measuring; left; left &= left - 1) moved[__builtin_ctzll(left)] = cycles;
        if (++noted == FULL) flush();
        return any;
    }

    void settle_by_units() {
        note();  // what the clock and the inputs moved
        do {
            other = value;
            for (const Run& run : runs) KINDS[run.kind](value.data(), other.data(), run.pins, run.count);
            value.swap(other);
            ++steps;
        } while (note());
    }

    uint32_t address(const uint32_t* nets, uint32_t bits, uint32_t lane) const {
        uint32_t found = 0;
        for (uint32_t bit = 0; bit < bits; ++bit) found |= uint32_t(value[nets[bit]] >> lane & 1) << bit;
        return found;
    }

    void access(Memory& memory) {
        const uint32_t* nets = memory.nets;
        const uint32_t bits = memory.address_bits;
        const Word enable = value[nets[0]], write = value[nets[1]];
        const Word reading = memory.two_ports ? enable : enable & ~write;
        const Word writing = memory.two_ports ? write : enable & write;
        const uint32_t* from = nets + 2;
        const uint32_t* to = memory.two_ports ? from + bits : from;
        const uint32_t* data = nets + ports(memory);
        visit(memory, from, reading, [&](Word lanes, Word* word) {
            for (uint32_t bit = 0; bit < memory.width; ++bit)
                memory.next[bit] = (memory.next[bit] & ~lanes) | (word[bit] & lanes);
        });
        memory.reading = reading;
        visit(memory, to, writing, [&](Word lanes, Word* word) {
            for (uint32_t bit = 0; bit < memory.width; ++bit)
                word[bit] = (word[bit] & ~lanes) | (value[data[bit]] & lanes);
        });
        for (Word left = reading & measuring; left; left &= left - 1)
            ++memory.reads[__builtin_ctzll(left)];
        for (Word left = writing & measuring; left; left &= left - 1)
            ++memory.writes[__builtin_ctzll(left)];
    }

    // Visit each word that is addressed with the lanes that address it.
    template <class Visitor>
    void visit(Memory& memory, const uint32_t* nets, Word lanes, Visitor visitor) {
        while (lanes) {
            const uint32_t place = address(nets, memory.address_bits, __builtin_ctzll(lanes));
            Word same = lanes;
            for (uint32_t bit = 0; bit < memory.address_bits; ++bit)
                same &= (place >> bit & 1) ? value[nets[bit]] : ~value[nets[bit]];
            if (place < memory.depth) visitor(same, &memory.bits[uint64_t(place) * memory.width]);
            lanes &= ~same;
        }
    }
};

}  // namespace

#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Chip* lanes_open(uint32_t nets, const uint32_t* runs, uint32_t run_count,
                        const uint32_t* pins, const uint32_t* flip_flops, uint32_t flip_flop_count,
                        const uint32_t* memory, uint32_t memory_count, uint64_t seed) {
    return new Chip(nets, runs, run_count, pins, flip_flops, flip_flop_count, memory, memory_count,
                    seed);
}

EXPORT void lanes_close(Chip* chip) { delete chip; }

// Put values (count, 64) of so many bits at the nets of a port.
EXPORT void lanes_put(Chip* chip, const uint32_t* nets, uint32_t bits, const uint32_t* values) {
    for (uint32_t bit = 0; bit < bits; ++bit) {
        Word word = 0;
        for (uint32_t lane = 0; lane < LANES; ++lane) word |= Word(values[lane] >> bit & 1) << lane;
        if (nets[bit] > 1) chip->value[nets[bit]] = word;
    }
}

EXPORT void lanes_get(const Chip* chip, const uint32_t* nets, uint32_t bits, uint32_t* values) {
    for (uint32_t lane = 0; lane < LANES; ++lane) values[lane] = 0;
    for (uint32_t bit = 0; bit < bits; ++bit)
        for (uint32_t lane = 0; lane < LANES; ++lane)
            values[lane] |= uint32_t(chip->value[nets[bit]] >> lane & 1) << bit;
}

EXPORT void lanes_settle(Chip* chip) { chip->settle(); }

EXPORT void lanes_rise(Chip* chip) { chip->rise(); }

struct Ports {
    const uint32_t *data, *valid, *ready, *last, *out, *out_valid, *out_ready;
};

// Send each lane its words (all together, `ends` tells where each lane's end) until nothing has moved
// for `quiet` cycles in any; gives 0, or 1 where `most` cycles did not suffice.
EXPORT int lanes_feed(Chip* chip, const Ports* ports, const uint32_t* words, const uint64_t* ends,
                      uint64_t quiet, uint64_t most, Word measuring, int unit) {
    Stream streams[LANES];
    for (uint32_t lane = 0; lane < LANES; ++lane)
        streams[lane] = {words + (lane ? ends[lane - 1] : 0), words + ends[lane]};
    chip->measuring = measuring, chip->unit = unit;
    Word offering = 0;
    const uint64_t start = chip->cycles;
    chip->began.fill(start), chip->moved.fill(start);
    uint64_t last_move = start;
    chip->value[*ports->out_ready] = ~Word(0);
    for (; chip->cycles - last_move <= quiet; chip->rise()) {
        if (chip->cycles - start > most) return 1;
        for (uint32_t lane = 0; lane < LANES; ++lane) {
            const Word mask = Word(1) << lane;
            if ((offering & mask) || streams[lane].word == streams[lane].end) continue;
            const uint32_t word = *streams[lane].word++;
            for (uint32_t bit = 0; bit < 32; ++bit) {
                Word& net = chip->value[ports->data[bit]];
                if (ports->data[bit] > 1) net = (net & ~mask) | (Word(word >> bit & 1) << lane);
            }
            if (*ports->last > 1)
                chip->value[*ports->last] =
                    (chip->value[*ports->last] & ~mask) | (Word(word >> 31) << lane);
            offering |= mask;
        }
        chip->value[*ports->valid] = offering;
        chip->settle();
        for (uint64_t moved : chip->moved)
            if (moved > last_move) last_move = moved;
        offering &= ~chip->value[*ports->ready];
        for (Word left = chip->value[*ports->out_valid]; left; left &= left - 1) {
            const uint32_t lane = __builtin_ctzll(left);
            uint32_t word = 0;
            for (uint32_t bit = 0; bit < 32; ++bit)
                word |= uint32_t(chip->value[ports->out[bit]] >> lane & 1) << bit;
            chip->results[lane].push_back(word);
        }
    }
    chip->flush();
    chip->measuring = 0, chip->unit = false;
    return 0;
}

EXPORT uint64_t lanes_cycles(const Chip* chip) { return chip->cycles; }

EXPORT uint64_t lanes_steps(const Chip* chip) { return chip->steps; }

EXPORT void lanes_counted(const Chip* chip, const uint32_t** counts, const uint64_t** ones,
                          const uint64_t** moved, const uint64_t** began) {
    *counts = chip->counts.data(), *ones = chip->ones.data();
    *moved = chip->moved.data(), *began = chip->began.data();
}

EXPORT void lanes_accesses(const Chip* chip, uint32_t memory, const uint64_t** reads,
                           const uint64_t** writes) {
    *reads = chip->memories[memory].reads.data(), *writes = chip->memories[memory].writes.data();
}

EXPORT uint64_t lanes_results(const Chip* chip, uint32_t lane, const uint32_t** words) {
    *words = chip->results[lane].data();
    return chip->results[lane].size();
}

// Write each value (count, 64) to its register, all lanes in step: 0, or 1 where a lane refuses or
// lags. `bus` has the nets of awaddr, awvalid, wdata, wvalid, bready, awready, wready, bvalid, bresp.
EXPORT int lanes_write(Chip* chip, const uint32_t* const* bus, const uint32_t* bits,
                       const uint32_t* addresses, const uint32_t* values, uint64_t count) {
    auto all = [&](int port, Word word) { chip->value[*bus[port]] = word; };
    auto is = [&](int port) { return chip->value[*bus[port]]; };
    for (uint64_t n = 0; n < count; ++n, values += LANES) {
        for (uint32_t bit = 0; bit < bits[0]; ++bit)
            chip->value[bus[0][bit]] = (addresses[n] >> bit & 1) ? ~Word(0) : 0;
        lanes_put(chip, bus[2], bits[2], values);
        all(1, ~Word(0)), all(3, ~Word(0)), all(4, ~Word(0));
        Word answered = 0;
        bool address_taken = false, data_taken = false;
        for (uint32_t wait = 0; !answered; ++wait) {
            if (wait > 10000) return 1;
            chip->settle();
            address_taken |= is(5) != 0, data_taken |= is(6) != 0;
            answered = is(7);
            if (answered && ~answered) return 1;
            for (uint32_t bit = 0; answered && bit < bits[8]; ++bit)
                if (chip->value[bus[8][bit]]) return 1;
            chip->rise();
            if (address_taken) all(1, 0);
            if (data_taken) all(3, 0);
        }
        all(4, 0);
    }
    return 0;
}

// The same for reads; `bus`: araddr, arvalid, rready, arready, rvalid, rresp, rdata.
EXPORT int lanes_read(Chip* chip, const uint32_t* const* bus, const uint32_t* bits,
                      const uint32_t* addresses, uint32_t* values, uint64_t count) {
    for (uint64_t n = 0; n < count; ++n, values += LANES) {
        for (uint32_t bit = 0; bit < bits[0]; ++bit)
            chip->value[bus[0][bit]] = (addresses[n] >> bit & 1) ? ~Word(0) : 0;
        chip->value[*bus[1]] = chip->value[*bus[2]] = ~Word(0);
        Word answered = 0;
        for (uint32_t wait = 0; !answered; ++wait) {
            if (wait > 10000) return 1;
            chip->settle();
            const bool taken = chip->value[*bus[3]] != 0;
            answered = chip->value[*bus[4]];
            if (answered && ~answered) return 1;
            for (uint32_t bit = 0; answered && bit < bits[5]; ++bit)
                if (chip->value[bus[5][bit]]) return 1;
            if (answered) lanes_get(chip, bus[6], bits[6], values);
            chip->rise();
            if (taken) chip->value[*bus[1]] = 0;
        }
        chip->value[*bus[2]] = 0;
    }
    return 0;
}
