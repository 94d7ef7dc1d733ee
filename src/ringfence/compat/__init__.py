"""Placement that agrees bit for bit with the systems people run: floats and bugs included.

One module for each system, named after it: `ringfence.compat.memcached`, `.envoy`, `.cassandra`, `.kafka`,
`.redis_cluster`, `.hdfs`, `.guava`, `.ignite`, `.haproxy`, and the Python libraries `.uhashring`, `.hashring`,
`.fastring` and `.tooz`. What each follows, file and version, stands in its docstrings.
"""
