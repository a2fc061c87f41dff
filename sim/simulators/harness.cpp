// Drives one chip in bulk: streams in and out with random pauses on both sides, the host's bus, and
// a log of every monitor. The same source serves Verilator and CXXRTL: `ports.h`, generated for each
// chip, includes the simulator's adapter and defines PIN_<port>, MONITORS and MONITOR_WORDS.
//
// A cycle has two halves: `low`, in which inputs change and what crosses at the coming edge is seen,
// and `high`, in which the clock rises.

#include <cstdint>
#include <vector>

#include "ports.h"

namespace {

constexpr uint32_t STATUS = 0x008, STATUS_BUSY = 1;

enum Outcome : int { DONE, STUCK, REFUSED };

struct Random {  // SplitMix64: G. Steele, D. Lea, C. Flood (2014)
    uint64_t state = 0;

    uint32_t next() {
        uint64_t z = state += 0x9E3779B97F4A7C15u;
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
        return uint32_t((z ^ (z >> 31)) >> 32);
    }
};

// What crossed one boundary: rows as the port showed them, and how many there were at each end.
struct Log {
    std::vector<uint32_t> words;
    std::vector<uint64_t> ends;
    uint64_t rows = 0;
};

class Bench {
  public:
    Log logs[MONITOR_COUNT];
    std::vector<uint32_t> results;
    std::vector<uint8_t> lasts;
    uint64_t cycles = 0;
    uint64_t verdicts = 0;

    // `patience`: cycles without anything crossing after which the chip counts as stuck.
    // `waves`: a file that records the first `wave_samples` samples.
    Bench(uint64_t seed, uint64_t patience, bool logging, const char* waves, uint64_t wave_samples)
        : simulation(seed, waves), patience(patience), logging(logging), wave_samples(wave_samples) {
        simulation.put(PIN_s_axil_awprot, 0), simulation.put(PIN_s_axil_arprot, 0);
        reset();
    }

    // One cycle of reset, and everything forgotten on this side, too.
    void reset() {
        word = end = nullptr;
        offering = false, chance = 0;
        simulation.put(PIN_s_axis_tvalid, 0);
        simulation.put(PIN_s_axil_awvalid, 0), simulation.put(PIN_s_axil_wvalid, 0);
        simulation.put(PIN_s_axil_bready, 0), simulation.put(PIN_s_axil_arvalid, 0);
        simulation.put(PIN_s_axil_rready, 0), simulation.put(PIN_s_axil_wstrb, 0xF);
        simulation.put(PIN_rst, 1);
        low(), high();
        simulation.put(PIN_rst, 0);
        clear();
        cycles = verdicts = idle = 0;
    }

    // Take in `count` words for so many cycles, either side pausing as in `feed`, while the host's
    // bus asks for anything at all; then leave it all as it is and reset.
    void cut(const uint32_t* words, uint64_t count, uint64_t length, uint64_t pause, uint64_t seed) {
        word = words, end = words + count;
        chance = pause, random.state = seed;
        for (uint64_t cycle = 0; cycle < length; ++cycle) {
            meddle();
            low();
            high();
        }
        reset();
    }

    // Send `count` words; done when `samples` verdicts have come and the chip is at rest. Either
    // side pauses in a cycle with a chance of `pause` in 2**32.
    Outcome feed(const uint32_t* words, uint64_t count, uint64_t samples, uint64_t pause,
                 uint64_t seed) {
        word = words, end = words + count;
        chance = pause, random.state = seed, idle = 0;
        const uint64_t target = verdicts + samples;
        while (verdicts < target || word != end) {
            if (idle > patience) return STUCK;
            simulation.recording = verdicts < wave_samples;
            low();
            high();
        }
        chance = 0;
        const Outcome outcome = rest();  // recorded, too: a sample is learned behind its verdict
        simulation.recording = false;
        return outcome;
    }

    // Wait until the chip holds no work.
    Outcome rest() {
        uint32_t status = STATUS_BUSY;
        while (status & STATUS_BUSY) {
            if (Outcome outcome = read(STATUS, status)) return outcome;
        }
        return DONE;
    }

    Outcome host_write(uint32_t address, uint32_t value) {
        idle = 0;
        return write(address, value);
    }

    Outcome host_read(uint32_t address, uint32_t& value) {
        idle = 0;
        return read(address, value);
    }

    // Forget what was logged.
    void clear() {
        for (Log& log : logs) log = Log();
        results.clear();
        lasts.clear();
    }

  private:
    Simulation simulation;
    const uint64_t patience;
    const bool logging;
    const uint64_t wave_samples;
    uint64_t idle = 0;
    const uint32_t *word = nullptr, *end = nullptr;
    bool offering = false, ready = false;
    uint64_t chance = 0;
    Random random;

    // Raise and drop the host's signals now and then, at any register.
    void meddle() {
        if (random.next() % 16) return;
        simulation.put(PIN_s_axil_awaddr, random.next() & 0x3FC);
        simulation.put(PIN_s_axil_araddr, random.next() & 0x3FC);
        simulation.put(PIN_s_axil_wdata, random.next());
        const uint32_t levels = random.next();
        simulation.put(PIN_s_axil_awvalid, levels & 1);
        simulation.put(PIN_s_axil_wvalid, levels >> 1 & 1);
        simulation.put(PIN_s_axil_arvalid, levels >> 2 & 1);
        simulation.put(PIN_s_axil_bready, levels >> 3 & 1);
        simulation.put(PIN_s_axil_rready, levels >> 4 & 1);
    }

    bool pauses() { return chance && random.next() < chance; }

    void low() {
        if (!offering && word != end && !pauses()) {
            offering = true;
            simulation.put(PIN_s_axis_tdata, *word);
            simulation.put(PIN_s_axis_tlast, *word >> 31);
            simulation.put(PIN_s_axis_tvalid, 1);
        }
        ready = !pauses();
        simulation.put(PIN_m_axis_tready, ready);
        simulation.low();
        ++cycles;
        ++idle;
    }

    void high() {
        if (offering && low_word(PIN_s_axis_tready)) {
            offering = false;
            ++word;
            idle = 0;
        }
        if (ready && low_word(PIN_m_axis_tvalid)) {
            const bool last = low_word(PIN_m_axis_tlast);
            results.push_back(low_word(PIN_m_axis_tdata));
            lasts.push_back(last);
            verdicts += last;
            idle = 0;
        }
        if (logging) {
#define VISIT(number, pin) note(logs[number], pin, MONITOR_WORDS[number]);
            MONITORS(VISIT)
#undef VISIT
        }
        simulation.high();
        if (!offering) simulation.put(PIN_s_axis_tvalid, 0);
    }

    template <class Pin>
    void note(Log& log, const Pin& pin, uint32_t words) {
        const uint32_t first = low_word(pin);
        if (!(first & 1)) return;
        idle = 0;
        if (first & 2) {
            log.ends.push_back(log.rows);
            return;
        }
        for (uint32_t index = 0; index < words; ++index) log.words.push_back(word_of(pin, index));
        ++log.rows;
    }

    Outcome write(uint32_t address, uint32_t value) {
        simulation.put(PIN_s_axil_awaddr, address);
        simulation.put(PIN_s_axil_wdata, value);
        simulation.put(PIN_s_axil_awvalid, 1);
        simulation.put(PIN_s_axil_wvalid, 1);
        simulation.put(PIN_s_axil_bready, 1);
        bool address_taken = false, data_taken = false, answered = false, refused = false;
        while (!answered && idle <= patience) {
            low();
            address_taken |= low_word(PIN_s_axil_awready) != 0;
            data_taken |= low_word(PIN_s_axil_wready) != 0;
            answered = low_word(PIN_s_axil_bvalid) != 0;
            refused = low_word(PIN_s_axil_bresp) != 0;
            high();
            if (address_taken) simulation.put(PIN_s_axil_awvalid, 0);
            if (data_taken) simulation.put(PIN_s_axil_wvalid, 0);
        }
        simulation.put(PIN_s_axil_bready, 0);
        return !answered ? STUCK : refused ? REFUSED : DONE;
    }

    Outcome read(uint32_t address, uint32_t& value) {
        simulation.put(PIN_s_axil_araddr, address);
        simulation.put(PIN_s_axil_arvalid, 1);
        simulation.put(PIN_s_axil_rready, 1);
        bool answered = false, refused = false;
        while (!answered && idle <= patience) {
            low();
            const bool taken = low_word(PIN_s_axil_arready) != 0;
            answered = low_word(PIN_s_axil_rvalid) != 0;
            refused = low_word(PIN_s_axil_rresp) != 0;
            value = low_word(PIN_s_axil_rdata);
            high();
            if (taken) simulation.put(PIN_s_axil_arvalid, 0);
        }
        simulation.put(PIN_s_axil_rready, 0);
        return !answered ? STUCK : refused ? REFUSED : DONE;
    }
};

}  // namespace

// The functions that `sim/simulators/compiled.py` calls. Counts are of elements; outcomes as above.
#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Bench* bench_open(uint64_t seed, uint64_t patience, int logging, const char* waves,
                         uint64_t wave_samples) {
    return new Bench(seed, patience, logging, waves, wave_samples);
}

EXPORT void bench_close(Bench* bench) { delete bench; }

EXPORT int bench_feed(Bench* bench, const uint32_t* words, uint64_t count, uint64_t samples,
                      uint64_t pause, uint64_t seed) {
    return bench->feed(words, count, samples, pause, seed);
}

EXPORT void bench_cut(Bench* bench, const uint32_t* words, uint64_t count, uint64_t length,
                      uint64_t pause, uint64_t seed) {
    bench->cut(words, count, length, pause, seed);
}

EXPORT int bench_rest(Bench* bench) { return bench->rest(); }

EXPORT int bench_write(Bench* bench, const uint32_t* addresses, const uint32_t* values,
                       uint64_t count, uint64_t* done) {
    for (*done = 0; *done < count; ++*done) {
        if (int outcome = bench->host_write(addresses[*done], values[*done])) return outcome;
    }
    return DONE;
}

EXPORT int bench_read(Bench* bench, const uint32_t* addresses, uint32_t* values, uint64_t count,
                      uint64_t* done) {
    for (*done = 0; *done < count; ++*done) {
        if (int outcome = bench->host_read(addresses[*done], values[*done])) return outcome;
    }
    return DONE;
}

EXPORT uint64_t bench_cycles(const Bench* bench) { return bench->cycles; }

EXPORT uint64_t bench_verdicts(const Bench* bench) { return bench->verdicts; }

EXPORT uint64_t bench_results(const Bench* bench, const uint32_t** words, const uint8_t** lasts) {
    *words = bench->results.data();
    *lasts = bench->lasts.data();
    return bench->results.size();
}

EXPORT uint64_t bench_rows(const Bench* bench, uint32_t monitor, const uint32_t** words) {
    *words = bench->logs[monitor].words.data();
    return bench->logs[monitor].rows;
}

EXPORT uint64_t bench_ends(const Bench* bench, uint32_t monitor, const uint64_t** ends) {
    *ends = bench->logs[monitor].ends.data();
    return bench->logs[monitor].ends.size();
}

EXPORT void bench_clear(Bench* bench) { bench->clear(); }
