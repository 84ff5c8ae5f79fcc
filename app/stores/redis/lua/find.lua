-- ARGV: run
expire_old()
if redis.call('EXISTS', run_key(ARGV[5])) == 0 then return missing(ARGV[5]) end
return meta(ARGV[5])
