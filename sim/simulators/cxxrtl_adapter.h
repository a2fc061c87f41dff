// CXXRTL's side of the harness: how a pin is read and written, and how half a cycle is run.

#include "Vchip.h"
#ifdef WAVES
#include <cxxrtl/cxxrtl_vcd.h>
#include <fstream>
#endif

namespace {

template <std::size_t bits>
uint32_t word_of(const cxxrtl::value<bits>& pin, uint32_t index) {
    return pin.data[index];
}

template <std::size_t bits>
uint32_t word_of(const cxxrtl::wire<bits>& pin, uint32_t index) {
    return pin.curr.data[index];
}

template <class Pin>
uint32_t low_word(const Pin& pin) {
    return word_of(pin, 0);
}

// Without waves one evaluation serves both halves of a cycle: it settles the outputs (`cut` sees to
// it that one pass does) and finds the next state, which `commit` makes the present one.
class Simulation {
  public:
    CHIP pins;
    bool recording = false;

    template <std::size_t bits>
    void put(cxxrtl::value<bits>& pin, uint32_t value) {
        pin.data[0] = value;
    }

#ifdef WAVES
    Simulation(uint64_t, const char* waves) : file(waves) {
        cxxrtl::debug_items items;
        pins.debug_info(&items, nullptr, "");
        recorder.timescale(1, "ns");
        recorder.add_without_memories(items);
    }

    void low() { half(0); }

    void high() { half(1); }

  private:
    cxxrtl::vcd_writer recorder;
    std::ofstream file;
    uint64_t time = 0;

    void half(uint32_t clock) {
        pins.p_clk.data[0] = clock;
        pins.step();
        if (recording) {
            recorder.sample(time);
            file << recorder.buffer;
            recorder.buffer.clear();
        }
        time += 5;
    }
#else
    Simulation(uint64_t, const char*) {}

    void low() {
        pins.prev_p_clk.data[0] = 0;
        pins.p_clk.data[0] = 1;
        pins.eval();
    }

    void high() { pins.commit(); }
#endif
};

}  // namespace
