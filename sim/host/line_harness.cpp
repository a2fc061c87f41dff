// The host's end of a line to a simulated core, bit by bit: what a serial port or an SPI controller
// does. `line.h`, generated for each core, includes the simulator's adapter and says which line it
// is: LINE_UART or LINE_SPI, and CYCLES a bit.

#include <cstdint>
#include <vector>

#include "line.h"

namespace {

class Line {
  public:
    std::vector<uint8_t> heard;
    uint64_t cycles = 0;
    bool something = false;  // heard, that is not idle

    explicit Line(uint64_t seed) : simulation(seed, nullptr) {
        rest();
        simulation.pins.rst = 1;
        for (int cycle = 0; cycle < 4; ++cycle) clock();
        simulation.pins.rst = 0;
        clock();
    }

    void send(const uint8_t* bytes, uint64_t count) {
        for (uint64_t index = 0; index < count; ++index) transfer(bytes[index]);
    }

    // Wait until something is heard, `patience` cycles at most.
    void listen(uint64_t patience) {
        const uint64_t end = cycles + patience;
        while (!complete() && cycles < end) idle();
    }

    void forget() {
        heard.clear();
        something = false;
    }

  private:
    Simulation simulation;

    void clock() {
        simulation.low();
        watch();
        simulation.high();
        ++cycles;
    }

#ifdef LINE_UART
    int left = 0, wait = 0;
    uint32_t bits = 0;

    void rest() { simulation.pins.rx = 1; }

    void transfer(uint8_t byte) {
        const uint32_t frame = 1u << 9 | uint32_t(byte) << 1;
        for (int bit = 0; bit < 10; ++bit) {
            simulation.pins.rx = frame >> bit & 1;
            for (int cycle = 0; cycle < CYCLES; ++cycle) clock();
        }
    }

    bool complete() const { return something; }

    void idle() { clock(); }

    // Looks at each bit in its middle: the start bit's first edge starts a count.
    void watch() {
        const uint32_t level = simulation.pins.tx;
        if (!left) {
            if (!level) left = 9, wait = CYCLES + CYCLES / 2;
            return;
        }
        if (--wait) return;
        wait = CYCLES;
        bits = bits >> 1 | level << 8;
        if (!--left) heard.push_back(uint8_t(bits)), something = true;
    }
#else
    static constexpr int TAIL = 4;  // bytes that may follow the first of a message
    bool selected = false;
    int idles = 0;  // in a row, the last bytes heard

    void rest() { simulation.pins.cs = 0, simulation.pins.sclk = 0, simulation.pins.copi = 0; }

    void half() {
        for (int cycle = 0; cycle < CYCLES / 2; ++cycle) clock();
    }

    void transfer(uint8_t byte) {
        if (!selected) {
            simulation.pins.cs = selected = true;
            half(), half();
        }
        uint8_t back = 0;
        for (int bit = 7; bit >= 0; --bit) {
            simulation.pins.copi = byte >> bit & 1;
            half();
            back = uint8_t(back << 1 | simulation.pins.cipo);
            simulation.pins.sclk = 1;
            half();
            simulation.pins.sclk = 0;
        }
        heard.push_back(back);
        idles = back ? 0 : idles + 1;
        something |= back != 0;
    }

    bool complete() const { return something && idles >= TAIL; }

    void idle() { transfer(0); }

    void watch() {}
#endif
};

}  // namespace

// The functions that `sim/host/line.py` calls.
#define EXPORT extern "C" __attribute__((visibility("default")))

EXPORT Line* line_open(uint64_t seed) { return new Line(seed); }

EXPORT void line_close(Line* line) { delete line; }

EXPORT void line_send(Line* line, const uint8_t* bytes, uint64_t count) {
    line->send(bytes, count);
}

EXPORT void line_listen(Line* line, uint64_t patience) { line->listen(patience); }

EXPORT uint64_t line_heard(const Line* line, const uint8_t** bytes) {
    *bytes = line->heard.data();
    return line->something ? line->heard.size() : 0;
}

EXPORT void line_forget(Line* line) { line->forget(); }

EXPORT uint64_t line_cycles(const Line* line) { return line->cycles; }
