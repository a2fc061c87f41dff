/* Classification exactly as the chip does it: integers only, no allocation, C99.
 *
 * All numbers come from model.h, which the export writes beside this file. The codes are those of
 * the chip: sums, features and scores equal the hardware's bit for bit. Learning is not here.
 */
#include "chip.h"

#include "model.h"

/* Division by a power of two, rounded down for negative numbers too. */
static int64_t shift_floor(int64_t code, int shift) {
    return code >= 0 ? code >> shift : ~(~code >> shift);
}

static int64_t clip(int64_t code, int64_t low, int64_t high) {
    return code < low ? low : code > high ? high : code;
}

#if CHIP_CONVS > 0
/* Potential of kernel k at a place of the map: what the events under its window add up to. */
static int64_t potential(const chip_conv *stage, const int16_t *map, int y, int x, int k) {
    int64_t sum = 0;
    for (int r = 0; r < stage->size; r++)
        for (int s = 0; s < stage->size; s++) {
            /* An event at (ey, ex) adds tap (ey + padding - y, ex + padding - x). */
            const int ey = y + r - stage->padding, ex = x + s - stage->padding;
            if (ey < 0 || ey >= stage->height || ex < 0 || ex >= stage->width) continue;
            for (int c = 0; c < stage->channels; c++) {
                const int tap = ((k * stage->channels + c) * stage->size + r) * stage->size + s;
                sum += (int64_t)map[(ey * stage->width + ex) * stage->channels + c] *
                       stage->kernels[tap];
            }
        }
    return sum;
}

/* Rectified, inhibited potentials of all kernels at a place. */
static void place(const chip_conv *stage, const int16_t *map, int y, int x, int64_t *out) {
    int64_t total = 0;
    for (int k = 0; k < stage->count; k++) {
        const int64_t code = potential(stage, map, y, x, k);
        out[k] = code > 0 ? code : 0;
        total += out[k];
    }
    if (stage->inhibition < 0) return;
    const int64_t shared = shift_floor(total, stage->inhibition);
    for (int k = 0; k < stage->count; k++) out[k] = out[k] > shared ? out[k] - shared : 0;
}

static void convolve(const chip_conv *stage, const int16_t *map, int16_t *features) {
    const int rows = (stage->height + 2 * stage->padding - stage->size + 1) / stage->pool;
    const int columns = (stage->width + 2 * stage->padding - stage->size + 1) / stage->pool;
    for (int y = 0; y < rows; y++)
        for (int x = 0; x < columns; x++) {
            int64_t pooled[CHIP_MOST_KERNELS] = {0}, codes[CHIP_MOST_KERNELS];
            for (int cell = 0; cell < stage->pool * stage->pool; cell++) {
                place(stage, map, y * stage->pool + cell / stage->pool,
                      x * stage->pool + cell % stage->pool, codes);
                for (int k = 0; k < stage->count; k++) {
                    if (stage->average)
                        pooled[k] += codes[k];
                    else if (codes[k] > pooled[k])
                        pooled[k] = codes[k];
                }
            }
            for (int k = 0; k < stage->count; k++)
                features[(y * columns + x) * stage->count + k] =
                    (int16_t)clip(pooled[k] >> stage->shift, 0, stage->top);
        }
}
#endif

/* Sums of a layer; `bias` is the code of the constant input of the last row, 0 where none is. */
static void sums(const chip_layer *layer, const int16_t *items, int bias, int64_t *out) {
    for (int j = 0; j < layer->outputs; j++)
        out[j] = bias ? (int64_t)bias * layer->weights[layer->inputs * layer->outputs + j] : 0;
    for (int i = 0; i < layer->inputs; i++) {
        if (!items[i]) continue;
        for (int j = 0; j < layer->outputs; j++)
            out[j] += (int64_t)items[i] * layer->weights[i * layer->outputs + j];
    }
}

int chip_classify(const uint8_t *pixels, uint8_t *scores) {
    static int16_t buffers[2][CHIP_MOST_CODES];
    static int64_t totals[CHIP_MOST_OUTPUTS];
    int16_t *now = buffers[0], *next = buffers[1], *swapped;
    for (int i = 0; i < CHIP_PIXELS; i++) now[i] = pixels[i] >> (8 - CHIP_PIXEL_BITS);
#if CHIP_CONVS > 0
    for (int n = 0; n < CHIP_CONVS; n++) {
        convolve(&chip_convs[n], now, next);
        swapped = now, now = next, next = swapped;
    }
#endif
    for (int n = 0; n < CHIP_LAYERS - 1; n++) {
        const chip_layer *layer = &chip_layers[n];
        sums(layer, now, 0, totals);
        for (int j = 0; j < layer->outputs; j++)
            next[j] = (int16_t)(layer->sign ? (totals[j] < 0 ? -1 : 1)
                                            : clip(shift_floor(totals[j], layer->shift), -127, 127));
        swapped = now, now = next, next = swapped;
    }
    const chip_layer *readout = &chip_layers[CHIP_LAYERS - 1];
    sums(readout, now, CHIP_BIAS, totals);
    int best = 0;
    for (int j = 0; j < readout->outputs; j++) {
        if (totals[j] > totals[best]) best = j;
        if (scores) scores[j] = (uint8_t)clip(shift_floor(totals[j], readout->shift) + 128, 0, 255);
    }
    return best;
}
