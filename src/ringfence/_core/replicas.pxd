from ringfence._core._kernel_rows cimport ring_rows
from ringfence._core._kernel_search cimport replica_count
